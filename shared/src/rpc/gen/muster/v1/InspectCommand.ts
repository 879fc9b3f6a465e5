// Original file: proto/muster/v1/agent.proto

import type { ObjectRef as _muster_v1_ObjectRef, ObjectRef__Output as _muster_v1_ObjectRef__Output } from '../../muster/v1/ObjectRef.ts';

/**
 * Tell the live state of one object of the inventory.
 */
export interface InspectCommand {
  'id'?: (string);
  /**
   * Every object of the bundle, if no ref is given.
   */
  'bundle'?: (string);
  'ref'?: (_muster_v1_ObjectRef | null);
}

/**
 * Tell the live state of one object of the inventory.
 */
export interface InspectCommand__Output {
  'id': (string);
  /**
   * Every object of the bundle, if no ref is given.
   */
  'bundle': (string);
  'ref': (_muster_v1_ObjectRef__Output | null);
}
