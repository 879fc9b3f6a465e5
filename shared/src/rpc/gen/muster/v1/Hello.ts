// Original file: proto/muster/v1/agent.proto

import type { ClusterFacts as _muster_v1_ClusterFacts, ClusterFacts__Output as _muster_v1_ClusterFacts__Output } from '../../muster/v1/ClusterFacts.ts';
import type { Generation as _muster_v1_Generation, Generation__Output as _muster_v1_Generation__Output } from '../../muster/v1/Generation.ts';

/**
 * First message of an agent.
 */
export interface Hello {
  /**
   * Random per agent process: two of them at once mean two agents with one identity.
   */
  'instance'?: (string);
  'facts'?: (_muster_v1_ClusterFacts | null);
  /**
   * High-water mark: the newest slice that this cluster has taken.
   */
  'highWater'?: (_muster_v1_Generation | null);
}

/**
 * First message of an agent.
 */
export interface Hello__Output {
  /**
   * Random per agent process: two of them at once mean two agents with one identity.
   */
  'instance': (string);
  'facts': (_muster_v1_ClusterFacts__Output | null);
  /**
   * High-water mark: the newest slice that this cluster has taken.
   */
  'highWater': (_muster_v1_Generation__Output | null);
}
