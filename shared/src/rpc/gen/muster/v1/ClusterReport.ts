// Original file: proto/muster/v1/types.proto

import type { Generation as _muster_v1_Generation, Generation__Output as _muster_v1_Generation__Output } from '../../muster/v1/Generation.ts';
import type { BundleReport as _muster_v1_BundleReport, BundleReport__Output as _muster_v1_BundleReport__Output } from '../../muster/v1/BundleReport.ts';
import type { HeldDeletion as _muster_v1_HeldDeletion, HeldDeletion__Output as _muster_v1_HeldDeletion__Output } from '../../muster/v1/HeldDeletion.ts';
import type { SliceProblem as _muster_v1_SliceProblem, SliceProblem__Output as _muster_v1_SliceProblem__Output } from '../../muster/v1/SliceProblem.ts';

/**
 * All that an agent tells of its cluster apart from objects and events.
 */
export interface ClusterReport {
  'seen'?: (_muster_v1_Generation | null);
  'applied'?: (_muster_v1_Generation | null);
  'bundles'?: (_muster_v1_BundleReport)[];
  'heldDeletion'?: (_muster_v1_HeldDeletion | null);
  'sliceProblem'?: (_muster_v1_SliceProblem | null);
}

/**
 * All that an agent tells of its cluster apart from objects and events.
 */
export interface ClusterReport__Output {
  'seen': (_muster_v1_Generation__Output | null);
  'applied': (_muster_v1_Generation__Output | null);
  'bundles': (_muster_v1_BundleReport__Output)[];
  'heldDeletion': (_muster_v1_HeldDeletion__Output | null);
  'sliceProblem': (_muster_v1_SliceProblem__Output | null);
}
