// Original file: proto/muster/v1/agent.proto

import type { InspectedObject as _muster_v1_InspectedObject, InspectedObject__Output as _muster_v1_InspectedObject__Output } from '../../muster/v1/InspectedObject.ts';

export interface InspectResult {
  'id'?: (string);
  /**
   * Error code, empty if none.
   */
  'code'?: (string);
  'message'?: (string);
  'objects'?: (_muster_v1_InspectedObject)[];
}

export interface InspectResult__Output {
  'id': (string);
  /**
   * Error code, empty if none.
   */
  'code': (string);
  'message': (string);
  'objects': (_muster_v1_InspectedObject__Output)[];
}
