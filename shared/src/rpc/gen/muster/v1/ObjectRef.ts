// Original file: proto/muster/v1/types.proto


/**
 * The identity of a Kubernetes object; its version is not part of it.
 */
export interface ObjectRef {
  /**
   * Empty for the core group.
   */
  'group'?: (string);
  'kind'?: (string);
  /**
   * Empty for cluster-scoped objects.
   */
  'namespace'?: (string);
  'name'?: (string);
}

/**
 * The identity of a Kubernetes object; its version is not part of it.
 */
export interface ObjectRef__Output {
  /**
   * Empty for the core group.
   */
  'group': (string);
  'kind': (string);
  /**
   * Empty for cluster-scoped objects.
   */
  'namespace': (string);
  'name': (string);
}
