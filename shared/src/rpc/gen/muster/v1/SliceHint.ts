// Original file: proto/muster/v1/agent.proto

import type { Generation as _muster_v1_Generation, Generation__Output as _muster_v1_Generation__Output } from '../../muster/v1/Generation.ts';

export interface SliceHint {
  'generation'?: (_muster_v1_Generation | null);
}

export interface SliceHint__Output {
  'generation': (_muster_v1_Generation__Output | null);
}
