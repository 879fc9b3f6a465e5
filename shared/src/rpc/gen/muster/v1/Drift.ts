// Original file: proto/muster/v1/types.proto

import type { FieldChange as _muster_v1_FieldChange, FieldChange__Output as _muster_v1_FieldChange__Output } from '../../muster/v1/FieldChange.ts';

/**
 * How a live object differs from the desired one.
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
  /**
   * Values of some of them; none where the agent is to tell none.
   */
  'fields'?: (_muster_v1_FieldChange)[];
}

/**
 * How a live object differs from the desired one.
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
  /**
   * Values of some of them; none where the agent is to tell none.
   */
  'fields': (_muster_v1_FieldChange__Output)[];
}
