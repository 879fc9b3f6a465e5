// Original file: proto/muster/v1/agent.proto

import type { ClusterReport as _muster_v1_ClusterReport, ClusterReport__Output as _muster_v1_ClusterReport__Output } from '../../muster/v1/ClusterReport.ts';
import type { ObjectException as _muster_v1_ObjectException, ObjectException__Output as _muster_v1_ObjectException__Output } from '../../muster/v1/ObjectException.ts';
import type { ObjectRef as _muster_v1_ObjectRef, ObjectRef__Output as _muster_v1_ObjectRef__Output } from '../../muster/v1/ObjectRef.ts';
import type { Event as _muster_v1_Event, Event__Output as _muster_v1_Event__Output } from '../../muster/v1/Event.ts';
import type { ClusterFacts as _muster_v1_ClusterFacts, ClusterFacts__Output as _muster_v1_ClusterFacts__Output } from '../../muster/v1/ClusterFacts.ts';

/**
 * State, not events: the latest wins. The first one of a stream is full.
 */
export interface StatusUpdate {
  /**
   * true: this is everything; what is not in it is gone.
   */
  'full'?: (boolean);
  /**
   * More parts of the same full update follow.
   */
  'more'?: (boolean);
  'cluster'?: (_muster_v1_ClusterReport | null);
  /**
   * Exceptions that are new or changed.
   */
  'exceptions'?: (_muster_v1_ObjectException)[];
  /**
   * Objects that are no exception any more.
   */
  'cleared'?: (_muster_v1_ObjectRef)[];
  'events'?: (_muster_v1_Event)[];
  /**
   * Only when they changed.
   */
  'facts'?: (_muster_v1_ClusterFacts | null);
}

/**
 * State, not events: the latest wins. The first one of a stream is full.
 */
export interface StatusUpdate__Output {
  /**
   * true: this is everything; what is not in it is gone.
   */
  'full': (boolean);
  /**
   * More parts of the same full update follow.
   */
  'more': (boolean);
  'cluster': (_muster_v1_ClusterReport__Output | null);
  /**
   * Exceptions that are new or changed.
   */
  'exceptions': (_muster_v1_ObjectException__Output)[];
  /**
   * Objects that are no exception any more.
   */
  'cleared': (_muster_v1_ObjectRef__Output)[];
  'events': (_muster_v1_Event__Output)[];
  /**
   * Only when they changed.
   */
  'facts': (_muster_v1_ClusterFacts__Output | null);
}
