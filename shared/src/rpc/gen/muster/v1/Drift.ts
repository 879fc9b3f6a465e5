// Original file: proto/muster/v1/types.proto


/**
 * How a live object differs from the desired one. Paths only; values never leave the cluster.
 */
export interface Drift {
  /**
   * modified, missing, unexpected
   */
  'kind'?: (string);
  /**
   * Field manager of the change, if known.
   */
  'manager'?: (string);
  /**
   * RFC 3339 by the cluster's clock, if known.
   */
  'at'?: (string);
  'paths'?: (string)[];
}

/**
 * How a live object differs from the desired one. Paths only; values never leave the cluster.
 */
export interface Drift__Output {
  /**
   * modified, missing, unexpected
   */
  'kind': (string);
  /**
   * Field manager of the change, if known.
   */
  'manager': (string);
  /**
   * RFC 3339 by the cluster's clock, if known.
   */
  'at': (string);
  'paths': (string)[];
}
