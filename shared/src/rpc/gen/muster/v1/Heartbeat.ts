// Original file: proto/muster/v1/agent.proto

import type { Long } from '@grpc/proto-loader';

export interface Heartbeat {
  /**
   * Sender's wall clock in milliseconds, for showing skew only.
   */
  'sentAtMs'?: (number | string | Long);
}

export interface Heartbeat__Output {
  /**
   * Sender's wall clock in milliseconds, for showing skew only.
   */
  'sentAtMs': (number);
}
