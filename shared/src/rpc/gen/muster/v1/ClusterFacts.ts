// Original file: proto/muster/v1/types.proto


/**
 * Facts that an agent reports. They never steer targeting.
 */
export interface ClusterFacts {
  'agentVersion'?: (string);
  'kubernetesVersion'?: (string);
  /**
   * group/version and group/version/Kind.
   */
  'apiVersions'?: (string)[];
  /**
   * Kinds without a namespace, as group/Kind.
   */
  'clusterScopedKinds'?: (string)[];
}

/**
 * Facts that an agent reports. They never steer targeting.
 */
export interface ClusterFacts__Output {
  'agentVersion': (string);
  'kubernetesVersion': (string);
  /**
   * group/version and group/version/Kind.
   */
  'apiVersions': (string)[];
  /**
   * Kinds without a namespace, as group/Kind.
   */
  'clusterScopedKinds': (string)[];
}
