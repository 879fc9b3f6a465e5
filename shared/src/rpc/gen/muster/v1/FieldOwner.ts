// Original file: proto/muster/v1/types.proto


/**
 * Another field manager that owns fields of ours, too.
 */
export interface FieldOwner {
  'manager'?: (string);
  'paths'?: (string)[];
}

/**
 * Another field manager that owns fields of ours, too.
 */
export interface FieldOwner__Output {
  'manager': (string);
  'paths': (string)[];
}
