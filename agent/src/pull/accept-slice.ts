import { CodedError } from "@muster/shared/errors";
import { compareGenerations, type Digest, type Generation, type Slice } from "@muster/shared/model";

/** What this cluster has taken so far. */
export interface HighWater extends Generation {
  /** Digest of the slice's signed bytes. */
  readonly digest: Digest;
}

/** Who this agent is. */
export interface AgentIdentity {
  readonly cluster: string;
  readonly trustDomain: string;
}

/**
 * The rules of acceptance (D3) for a slice whose signature was verified. Gives `new`, or `same` if it is just what was taken
 * before. Throws SLICE_FOREIGN, SLICE_STALE, or SLICE_EQUIVOCATION (one generation, two contents: neither is taken).
 */
export function acceptSlice(slice: Slice, digest: Digest, highWater: HighWater | undefined, identity: AgentIdentity): "new" | "same" {
  if (slice.cluster !== identity.cluster || slice.trustDomain !== identity.trustDomain) {
    throw new CodedError(
      "SLICE_FOREIGN",
      `The slice is for ${slice.cluster} in ${slice.trustDomain}, this agent is ${identity.cluster} in ${identity.trustDomain}`,
    );
  }
  if (!highWater) return "new";
  const order = compareGenerations(slice, highWater);
  if (order > 0) return "new";
  if (order < 0) {
    throw new CodedError(
      "SLICE_STALE",
      `The slice is generation ${slice.epoch}.${slice.generation}, older than ${highWater.epoch}.${highWater.generation}`,
    );
  }
  if (digest === highWater.digest) return "same";
  throw new CodedError("SLICE_EQUIVOCATION", `Two different slices of generation ${slice.epoch}.${slice.generation} are signed`);
}
