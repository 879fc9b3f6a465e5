// Original file: proto/muster/v1/types.proto

import type { ObjectRef as _muster_v1_ObjectRef, ObjectRef__Output as _muster_v1_ObjectRef__Output } from '../../muster/v1/ObjectRef.ts';

/**
 * Deletions that wait for an approval in Git.
 */
export interface HeldDeletion {
  'id'?: (string);
  'objects'?: (number);
  'sample'?: (_muster_v1_ObjectRef)[];
  'message'?: (string);
}

/**
 * Deletions that wait for an approval in Git.
 */
export interface HeldDeletion__Output {
  'id': (string);
  'objects': (number);
  'sample': (_muster_v1_ObjectRef__Output)[];
  'message': (string);
}
