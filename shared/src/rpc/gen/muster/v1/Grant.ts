// Original file: proto/muster/v1/agent.proto


export interface Grant {
  /**
   * Client certificate for keys.tls, PEM.
   */
  'certificate'?: (string);
  /**
   * User JWT for keys.nats.
   */
  'natsJwt'?: (string);
  /**
   * Certificates of the hub's authority, PEM: the one in use, and the next one.
   */
  'ca'?: (string);
  /**
   * Public keys that sign slices, PEM.
   */
  'signingKeys'?: (string);
}

export interface Grant__Output {
  /**
   * Client certificate for keys.tls, PEM.
   */
  'certificate': (string);
  /**
   * User JWT for keys.nats.
   */
  'natsJwt': (string);
  /**
   * Certificates of the hub's authority, PEM: the one in use, and the next one.
   */
  'ca': (string);
  /**
   * Public keys that sign slices, PEM.
   */
  'signingKeys': (string);
}
