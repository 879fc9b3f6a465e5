// Original file: proto/muster/v1/agent.proto

import type { ObjectRef as _muster_v1_ObjectRef, ObjectRef__Output as _muster_v1_ObjectRef__Output } from '../../muster/v1/ObjectRef.ts';
import type { Drift as _muster_v1_Drift, Drift__Output as _muster_v1_Drift__Output } from '../../muster/v1/Drift.ts';

export interface InspectedObject {
  'ref'?: (_muster_v1_ObjectRef | null);
  'bundle'?: (string);
  'health'?: (string);
  'message'?: (string);
  'uid'?: (string);
  /**
   * created, configured, unchanged, skipped, failed: what the last apply did.
   */
  'lastAction'?: (string);
  'drift'?: (_muster_v1_Drift | null);
}

export interface InspectedObject__Output {
  'ref': (_muster_v1_ObjectRef__Output | null);
  'bundle': (string);
  'health': (string);
  'message': (string);
  'uid': (string);
  /**
   * created, configured, unchanged, skipped, failed: what the last apply did.
   */
  'lastAction': (string);
  'drift': (_muster_v1_Drift__Output | null);
}
