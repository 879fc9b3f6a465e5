import { CodedError } from "@muster/shared/errors";
import { compareGenerations, type Generation } from "@muster/shared/model";
import { type DesiredState, type KeepOptions, keepState } from "../pull/desired-state.ts";
import type { StateStore } from "../pull/state-store.ts";
import type { InventoryKeeper } from "./inventory-keeper.ts";

/** A slice is kept in a few values, each of which another agent may have written. */
const TRIES = 4;

/**
 * Keeps a newer slice, unless another agent of this cluster has kept one that is newer still (I2). What somebody else has written
 * meanwhile is looked at before it is written over. Throws SLICE_STALE, AGENT_STATE_CONFLICT if that does not end, or AGENT_STATE.
 */
export async function keepSlice(
  desired: DesiredState,
  { store, keeper, ...options }: KeepOptions & { readonly store: StateStore; readonly keeper: Pick<InventoryKeeper, "lookForRewind"> },
): Promise<void> {
  for (let left = TRIES; ; left--) {
    refuseOlder(desired, await keeper.lookForRewind());
    try {
      return await keepState(store, desired, options);
    } catch (error) {
      if (left <= 1 || !(error instanceof CodedError) || error.code !== "AGENT_STATE_CONFLICT") throw error;
    }
  }
}

function refuseOlder({ slice }: DesiredState, kept: Generation | undefined): void {
  if (!kept || compareGenerations(slice, kept) >= 0) return;
  const [offered, there] = [slice, kept].map(({ epoch, generation }) => `${epoch}.${generation}`);
  throw new CodedError("SLICE_STALE", `The slice is generation ${offered}, older than ${there}, which is kept in the cluster`);
}
