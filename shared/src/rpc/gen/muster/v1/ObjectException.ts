// Original file: proto/muster/v1/types.proto

import type { ObjectRef as _muster_v1_ObjectRef, ObjectRef__Output as _muster_v1_ObjectRef__Output } from '../../muster/v1/ObjectRef.ts';
import type { Drift as _muster_v1_Drift, Drift__Output as _muster_v1_Drift__Output } from '../../muster/v1/Drift.ts';

/**
 * An object that is not plainly healthy and in sync. Healthy ones are only counted.
 */
export interface ObjectException {
  'ref'?: (_muster_v1_ObjectRef | null);
  'bundle'?: (string);
  /**
   * kstatus: Current, InProgress, Failed, Terminating, NotFound, Unknown
   */
  'health'?: (string);
  /**
   * Error code, empty if none.
   */
  'code'?: (string);
  'message'?: (string);
  'drift'?: (_muster_v1_Drift | null);
}

/**
 * An object that is not plainly healthy and in sync. Healthy ones are only counted.
 */
export interface ObjectException__Output {
  'ref': (_muster_v1_ObjectRef__Output | null);
  'bundle': (string);
  /**
   * kstatus: Current, InProgress, Failed, Terminating, NotFound, Unknown
   */
  'health': (string);
  /**
   * Error code, empty if none.
   */
  'code': (string);
  'message': (string);
  'drift': (_muster_v1_Drift__Output | null);
}
