import { CodedError } from "@muster/shared/errors";
import { DriftMode, type ObjectRefText } from "@muster/shared/model";
import type { Failpoint } from "@muster/shared/runtime";
import type { Logger } from "@muster/shared/telemetry";
import { EMPTY_INVENTORY, formatInventory, type Inventory, type InventoryEntry, parseInventory } from "../plan/inventory.ts";
import { contentOf, type DesiredState } from "../pull/desired-state.ts";
import type { StateStore } from "../pull/state-store.ts";
import type { ApplySummary } from "./apply-phase.ts";
import type { ClusterState } from "./cluster-state.ts";

/** Options of {@link createInventoryKeeper}. */
export interface InventoryKeeperOptions {
  readonly state: ClusterState;
  readonly store: StateStore;
  readonly logger: Logger;
  readonly failpoint: Failpoint;
  /** Hears what happened. */
  readonly event: (type: string, message: string) => void;
}

/** Keeps the inventory in the cluster ahead of creations and behind deletions. Writes nothing if nothing is new. */
export interface InventoryKeeper {
  /** Reads it, once. Damage or loss gives an empty one that says so; throws AGENT_STATE if it cannot be read now. */
  load(): Promise<void>;
  /** Before the first apply of an object its entry is written: whatever happens next, the object is known (I5). */
  claim(desired: DesiredState): Promise<void>;
  /** After the applies: new UIDs, and which bundles are complete. */
  record(summaries: readonly ApplySummary[]): Promise<void>;
  save(inventory: Inventory): Promise<void>;
}

const INVENTORY = "inventory";

export function createInventoryKeeper(options: InventoryKeeperOptions): InventoryKeeper {
  const { state, store, logger, failpoint, event } = options;
  let loaded = false;

  async function save(inventory: Inventory): Promise<void> {
    failpoint("agent.beforeInventoryWrite");
    await store.write(INVENTORY, Buffer.from(formatInventory(inventory)));
    state.inventory = inventory;
    failpoint("agent.afterInventoryWrite");
  }

  /** Without its memory the agent prunes nothing until one full apply has made the inventory anew (E096). */
  function lost(how: "damaged" | "missing", error: CodedError | undefined): void {
    const message = `the inventory is ${how}: nothing is pruned until a full apply has made it anew, and what left Git before that stays`;
    logger.error({ code: "AGENT_STATE_CORRUPT", ...(error && { err: error }) }, message);
    event("InventoryLost", message);
    state.inventory = { ...EMPTY_INVENTORY, rebuilt: true };
  }

  return {
    save,
    async load() {
      if (loaded) return;
      try {
        const bytes = await store.read(INVENTORY);
        if (bytes) state.inventory = parseInventory(bytes.toString());
        // A process that was started with a kept slice and finds no inventory has lost it, or had not begun to apply.
        else if (state.resumed) lost("missing", undefined);
      } catch (error) {
        const coded = CodedError.from(error, "AGENT_STATE_CORRUPT");
        if (coded.code !== "AGENT_STATE_CORRUPT") throw coded;
        lost("damaged", coded);
      }
      loaded = true;
    },
    async claim(desired) {
      const entries = new Map(state.inventory.entries);
      let grown = false;
      for (const bundle of desired.slice.bundles) {
        const orphan = bundle.state === "desired" && !bundle.options.prune;
        for (const { ref } of state.linesOf(bundle.name)) {
          const known = entries.get(ref);
          const claimed = known && (bundle.state === "keep" || isClaimOf(known, bundle.name, orphan));
          if (claimed) continue;
          const uid = known?.uid;
          entries.set(ref, { ref, bundle: bundle.name, ...(uid !== undefined && { uid }), ...(orphan && { orphan: true as const }) });
          grown = true;
        }
      }
      if (grown) await save({ ...state.inventory, entries });
    },
    async record(summaries) {
      const entries = new Map(state.inventory.entries);
      const applied = new Map(state.inventory.applied);
      let grown = noteReported(entries, state);
      for (const [ref, uid] of summaries.flatMap((summary) => [...summary.uids])) {
        const entry = entries.get(ref);
        if (!entry || uid === "") continue;
        entries.set(ref, { ...entry, uid });
        grown = true;
      }
      let complete = true;
      for (const bundle of state.desired?.slice.bundles ?? []) {
        const done = state.linesOf(bundle.name).every((line) => state.lastApplied.get(line.ref) === line.digest);
        complete &&= done;
        if (!done || bundle.state !== "desired" || applied.get(bundle.name) === bundle.manifestSet.digest) continue;
        applied.set(bundle.name, bundle.manifestSet.digest);
        grown = true;
      }
      const rebuilt = state.inventory.rebuilt && !complete;
      if (grown || rebuilt !== state.inventory.rebuilt) await save({ entries, applied, rebuilt });
    },
  };
}

/** Notes in mode report what each object was applied as: a new process is to tell of drift, not to write over it. Gives true if any was new. */
function noteReported(entries: Map<ObjectRefText, InventoryEntry>, state: ClusterState): boolean {
  let grown = false;
  for (const bundle of state.desired?.slice.bundles ?? []) {
    const content = state.desired && contentOf(bundle, state.desired);
    for (const { ref, digest } of content ? state.linesOf(bundle.name) : []) {
      const entry = entries.get(ref);
      const asApplied = content?.options.drift.mode === DriftMode.Report ? digest : undefined;
      if (!entry || entry.applied === asApplied || state.lastApplied.get(ref) !== digest) continue;
      const { applied: _, ...rest } = entry;
      entries.set(ref, { ...rest, ...(asApplied && { applied: asApplied }) });
      grown = true;
    }
  }
  return grown;
}

/** An object that is wanted again loses the approval of its deletion, so an approved entry is not yet the claim of a bundle. */
function isClaimOf(entry: InventoryEntry, bundle: string, orphan: boolean): boolean {
  return entry.bundle === bundle && (entry.orphan ?? false) === orphan && !entry.approved;
}
