// Original file: proto/muster/v1/types.proto

import type { Long } from '@grpc/proto-loader';

/**
 * The order of slices.
 */
export interface Generation {
  'epoch'?: (number);
  'generation'?: (number | string | Long);
}

/**
 * The order of slices.
 */
export interface Generation__Output {
  'epoch': (number);
  'generation': (number);
}
