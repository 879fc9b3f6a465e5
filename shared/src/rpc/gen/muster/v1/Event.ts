// Original file: proto/muster/v1/types.proto

import type { ObjectRef as _muster_v1_ObjectRef, ObjectRef__Output as _muster_v1_ObjectRef__Output } from '../../muster/v1/ObjectRef.ts';

/**
 * Something that happened once.
 */
export interface Event {
  /**
   * RFC 3339 by the agent's clock.
   */
  'at'?: (string);
  'type'?: (string);
  'bundle'?: (string);
  'object'?: (_muster_v1_ObjectRef | null);
  'message'?: (string);
}

/**
 * Something that happened once.
 */
export interface Event__Output {
  /**
   * RFC 3339 by the agent's clock.
   */
  'at': (string);
  'type': (string);
  'bundle': (string);
  'object': (_muster_v1_ObjectRef__Output | null);
  'message': (string);
}
