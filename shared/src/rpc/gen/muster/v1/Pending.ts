// Original file: proto/muster/v1/agent.proto


export interface Pending {
  /**
   * another-identity, expired
   */
  'reason'?: (string);
}

export interface Pending__Output {
  /**
   * another-identity, expired
   */
  'reason': (string);
}
