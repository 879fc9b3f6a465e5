// Original file: proto/muster/v1/agent.proto


/**
 * Whom it is to trust the agent knows from its cluster's owner, and from nobody else.
 */
export interface Grant {
  /**
   * Client certificate for keys.tls, PEM.
   */
  'certificate'?: (string);
  /**
   * User JWT for keys.nats.
   */
  'natsJwt'?: (string);
}

/**
 * Whom it is to trust the agent knows from its cluster's owner, and from nobody else.
 */
export interface Grant__Output {
  /**
   * Client certificate for keys.tls, PEM.
   */
  'certificate': (string);
  /**
   * User JWT for keys.nats.
   */
  'natsJwt': (string);
}
