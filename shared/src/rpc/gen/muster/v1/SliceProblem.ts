// Original file: proto/muster/v1/types.proto


/**
 * Why an agent takes no slice.
 */
export interface SliceProblem {
  'code'?: (string);
  'message'?: (string);
}

/**
 * Why an agent takes no slice.
 */
export interface SliceProblem__Output {
  'code': (string);
  'message': (string);
}
