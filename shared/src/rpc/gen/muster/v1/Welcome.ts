// Original file: proto/muster/v1/agent.proto


/**
 * First message of the hub.
 */
export interface Welcome {
  'hubVersion'?: (string);
  /**
   * How often both sides send Heartbeat, in milliseconds.
   */
  'heartbeatIntervalMs'?: (number);
}

/**
 * First message of the hub.
 */
export interface Welcome__Output {
  'hubVersion': (string);
  /**
   * How often both sides send Heartbeat, in milliseconds.
   */
  'heartbeatIntervalMs': (number);
}
