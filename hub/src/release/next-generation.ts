import { CodedError } from "@muster/shared/errors";
import { compareGenerations, type Generation } from "@muster/shared/model";
import { MAX_GENERATION } from "@muster/shared/wire";

/** Where the generations of a cluster begin. */
const BEFORE_THE_FIRST: Generation = { epoch: 1, generation: 0 };

/**
 * The generation after all that anybody has seen: the stream, the agent, this process (D7). Throws PUBLISH_CONFLICT when an
 * epoch is used up, which only somebody who forges numbers can reach.
 */
export function nextGeneration(...seen: readonly (Generation | undefined)[]): Generation {
  let last = BEFORE_THE_FIRST;
  for (const generation of seen) if (generation && compareGenerations(generation, last) > 0) last = generation;
  if (last.generation >= MAX_GENERATION)
    throw new CodedError("PUBLISH_CONFLICT", `The generations of epoch ${last.epoch} are used up; raise the epoch`);
  return { epoch: last.epoch, generation: last.generation + 1 };
}
