// Original file: proto/muster/v1/agent.proto

import type { ObjectRef as _muster_v1_ObjectRef, ObjectRef__Output as _muster_v1_ObjectRef__Output } from '../../muster/v1/ObjectRef.ts';
import type { Drift as _muster_v1_Drift, Drift__Output as _muster_v1_Drift__Output } from '../../muster/v1/Drift.ts';
import type { FieldOwner as _muster_v1_FieldOwner, FieldOwner__Output as _muster_v1_FieldOwner__Output } from '../../muster/v1/FieldOwner.ts';

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
  /**
   * Managers that own fields of ours, too.
   */
  'sharedWith'?: (_muster_v1_FieldOwner)[];
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
  /**
   * Managers that own fields of ours, too.
   */
  'sharedWith': (_muster_v1_FieldOwner__Output)[];
}
