import { compareGenerations, type Digest, type Generation, type SliceContent } from "@muster/shared/model";
import { sliceContentDigest } from "@muster/shared/wire";

/** What is known of a cluster's slice in force. */
export interface PublishedState extends Generation {
  /** `sliceContentDigest` of it. */
  readonly contentDigest: Digest;
}

/** A slice that is to be published. */
export interface PlannedMove {
  readonly content: SliceContent;
  readonly contentDigest: Digest;
}

/**
 * Clusters whose slice moves: the content is another one, or the cluster's agent has seen a higher generation than the one in
 * force (`floors`), so that it would refuse what stands in the stream. A cluster that never had a slice and shall have no
 * bundle needs none.
 */
export function planPublish(
  inForce: ReadonlyMap<string, PublishedState>,
  contents: ReadonlyMap<string, SliceContent>,
  floors: ReadonlyMap<string, Generation> = new Map(),
): Map<string, PlannedMove> {
  const moves = new Map<string, PlannedMove>();
  for (const [cluster, content] of contents) {
    const known = inForce.get(cluster);
    const floor = floors.get(cluster);
    const contentDigest = sliceContentDigest(content);
    const moved = known
      ? known.contentDigest !== contentDigest || (floor !== undefined && compareGenerations(floor, known) > 0)
      : content.bundles.length > 0 || floor !== undefined;
    if (moved) moves.set(cluster, { content, contentDigest });
  }
  return moves;
}
