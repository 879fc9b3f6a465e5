// Original file: proto/muster/v1/types.proto


/**
 * One field that differs. Values are JSON for people: cut, and masked where they may be secret.
 */
export interface FieldChange {
  /**
   * One of the drift's paths.
   */
  'path'?: (string);
  /**
   * As Git has it; empty: not at all, or in another form.
   */
  'wanted'?: (string);
  /**
   * As it is; empty: not at all.
   */
  'got'?: (string);
  /**
   * Who changed this one and when, where it was not as with the drift as a whole.
   */
  'manager'?: (string);
  'at'?: (string);
}

/**
 * One field that differs. Values are JSON for people: cut, and masked where they may be secret.
 */
export interface FieldChange__Output {
  /**
   * One of the drift's paths.
   */
  'path': (string);
  /**
   * As Git has it; empty: not at all, or in another form.
   */
  'wanted': (string);
  /**
   * As it is; empty: not at all.
   */
  'got': (string);
  /**
   * Who changed this one and when, where it was not as with the drift as a whole.
   */
  'manager': (string);
  'at': (string);
}
