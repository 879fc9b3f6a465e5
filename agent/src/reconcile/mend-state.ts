import { CodedError } from "@muster/shared/errors";
import { compareGenerations } from "@muster/shared/model";
import type { Logger } from "@muster/shared/telemetry";
import { keepAgain } from "../pull/desired-state.ts";
import type { StateStore } from "../pull/state-store.ts";
import type { ClusterState } from "./cluster-state.ts";
import { INVENTORY, type InventoryKeeper } from "./inventory-keeper.ts";

/** Options of {@link createStateMender}. */
export interface StateMenderOptions {
  readonly state: ClusterState;
  readonly store: StateStore;
  readonly keeper: InventoryKeeper;
  readonly logger: Logger;
  /** Hears what happened. */
  readonly event: (type: string, message: string) => void;
}

/** Looks after what the agent keeps in its cluster, so that the next process knows what this one does (E096, E099). */
export interface StateMender {
  /**
   * Writes again what somebody has deleted while the agent runs. Reads twice, and writes nothing if all is there. Never throws: what did not
   * work is tried again at the next call.
   */
  check(): Promise<void>;
  /** After the state was found to be an older one: the slice in force takes the place of the one of then, or the next process would go back. */
  afterRewind(): Promise<void>;
}

export function createStateMender({ state, store, keeper, logger, event }: StateMenderOptions): StateMender {
  const lacking = new Set<string>();
  let rewinds = 0;

  /** Another agent has kept a newer slice: what this one would write is older. */
  async function isOutrun(): Promise<boolean> {
    const kept = await keeper.lookForRewind();
    return kept !== undefined && state.desired !== undefined && compareGenerations(kept, state.desired.slice) > 0;
  }

  return {
    async check() {
      // Before the inventory is read, an empty one would be written.
      if (!keeper.loaded) return;
      try {
        if (await isOutrun()) return;
        const gone = await store.missing();
        for (const name of gone) lacking.add(name);
        if (lacking.size === 0) return;
        const message = `Somebody has deleted the agent's own state (${[...lacking].sort().join(", ")}); it is written again`;
        if (gone.length > 0) {
          logger.warn({ code: "AGENT_STATE_CORRUPT" }, message);
          event("StateMended", message);
        }
        if (lacking.has(INVENTORY)) await keeper.save(state.inventory);
        if (state.desired) await keepAgain(store, state.desired);
        lacking.clear();
      } catch (error) {
        const coded = CodedError.from(error);
        logger.warn({ code: coded.code, err: coded }, "the agent's own state could not be looked after; tried again at the next interval");
      }
    },
    async afterRewind() {
      if (keeper.rewinds === rewinds || !state.desired) return;
      if (!(await isOutrun())) {
        await keepAgain(store, state.desired);
        keeper.kept(state.desired.slice);
      }
      rewinds = keeper.rewinds;
    },
  };
}
