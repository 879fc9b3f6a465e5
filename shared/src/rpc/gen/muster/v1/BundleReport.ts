// Original file: proto/muster/v1/types.proto


/**
 * Where one bundle of the cluster stands.
 */
export interface BundleReport {
  'bundle'?: (string);
  /**
   * Synced, Progressing, Pending, OutOfSync, Failed, Paused
   */
  'state'?: (string);
  'health'?: (string);
  /**
   * Digest of the manifest set that was last applied completely; empty if none was.
   */
  'applied'?: (string);
  'objects'?: (number);
  'drifted'?: (number);
  'failed'?: (number);
  'reason'?: (string);
  'message'?: (string);
  /**
   * What it waits for before it is applied: bundles, and "bundle: object: expression" for what readiness asks of one.
   */
  'blockedBy'?: (string)[];
}

/**
 * Where one bundle of the cluster stands.
 */
export interface BundleReport__Output {
  'bundle': (string);
  /**
   * Synced, Progressing, Pending, OutOfSync, Failed, Paused
   */
  'state': (string);
  'health': (string);
  /**
   * Digest of the manifest set that was last applied completely; empty if none was.
   */
  'applied': (string);
  'objects': (number);
  'drifted': (number);
  'failed': (number);
  'reason': (string);
  'message': (string);
  /**
   * What it waits for before it is applied: bundles, and "bundle: object: expression" for what readiness asks of one.
   */
  'blockedBy': (string)[];
}
