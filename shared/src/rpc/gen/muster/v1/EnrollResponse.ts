// Original file: proto/muster/v1/agent.proto

import type { Grant as _muster_v1_Grant, Grant__Output as _muster_v1_Grant__Output } from '../../muster/v1/Grant.ts';
import type { Pending as _muster_v1_Pending, Pending__Output as _muster_v1_Pending__Output } from '../../muster/v1/Pending.ts';

export interface EnrollResponse {
  'grant'?: (_muster_v1_Grant | null);
  /**
   * Ask again in a while, with the same keys: a person has to approve.
   */
  'pending'?: (_muster_v1_Pending | null);
  'outcome'?: "grant"|"pending";
}

export interface EnrollResponse__Output {
  'grant'?: (_muster_v1_Grant__Output | null);
  /**
   * Ask again in a while, with the same keys: a person has to approve.
   */
  'pending'?: (_muster_v1_Pending__Output | null);
  'outcome'?: "grant"|"pending";
}
