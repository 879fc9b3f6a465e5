// Original file: proto/muster/v1/agent.proto


/**
 * Public halves; the private ones never leave the cluster.
 */
export interface AgentKeys {
  /**
   * P-256, SubjectPublicKeyInfo (DER).
   */
  'tls'?: (Buffer | Uint8Array | string);
  /**
   * Public nkey of a NATS user.
   */
  'nats'?: (string);
  /**
   * X25519, 32 bytes.
   */
  'encryption'?: (Buffer | Uint8Array | string);
}

/**
 * Public halves; the private ones never leave the cluster.
 */
export interface AgentKeys__Output {
  /**
   * P-256, SubjectPublicKeyInfo (DER).
   */
  'tls': (Buffer);
  /**
   * Public nkey of a NATS user.
   */
  'nats': (string);
  /**
   * X25519, 32 bytes.
   */
  'encryption': (Buffer);
}
