// Original file: proto/muster/v1/agent.proto

import type { AgentKeys as _muster_v1_AgentKeys, AgentKeys__Output as _muster_v1_AgentKeys__Output } from '../../muster/v1/AgentKeys.ts';

export interface EnrollRequest {
  /**
   * The cluster that it wants to act for. Renew ignores it: there the certificate says so.
   */
  'cluster'?: (string);
  /**
   * One-time token; empty for who is known by its keys, and for Renew.
   */
  'token'?: (string);
  'keys'?: (_muster_v1_AgentKeys | null);
  /**
   * ECDSA signature (SHA-256, r and s of 32 bytes each) by keys.tls over the statement of shared/src/wire/enrolment.ts.
   */
  'proof'?: (Buffer | Uint8Array | string);
  /**
   * Ed25519 signature by keys.nats over the same statement.
   */
  'natsProof'?: (Buffer | Uint8Array | string);
}

export interface EnrollRequest__Output {
  /**
   * The cluster that it wants to act for. Renew ignores it: there the certificate says so.
   */
  'cluster': (string);
  /**
   * One-time token; empty for who is known by its keys, and for Renew.
   */
  'token': (string);
  'keys': (_muster_v1_AgentKeys__Output | null);
  /**
   * ECDSA signature (SHA-256, r and s of 32 bytes each) by keys.tls over the statement of shared/src/wire/enrolment.ts.
   */
  'proof': (Buffer);
  /**
   * Ed25519 signature by keys.nats over the same statement.
   */
  'natsProof': (Buffer);
}
