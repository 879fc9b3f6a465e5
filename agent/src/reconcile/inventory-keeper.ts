import { CodedError } from "@muster/shared/errors";
import { compareGenerations, DriftMode, type Generation, type ObjectRefText } from "@muster/shared/model";
import type { Logger } from "@muster/shared/telemetry";
import type { AgentFailpoint } from "../failpoints.ts";
import { type BundleMemory, worthRemembering } from "../plan/bundle-memory.ts";
import { EMPTY_INVENTORY, formatInventory, type Inventory, type InventoryEntry, parseInventory } from "../plan/inventory.ts";
import { contentOf, type DesiredState, readHighWater } from "../pull/desired-state.ts";
import type { StateStore } from "../pull/state-store.ts";
import type { ApplySummary } from "./apply-phase.ts";
import { claimObjects } from "./claim-objects.ts";
import type { ClusterState } from "./cluster-state.ts";

/** Options of {@link createInventoryKeeper}. */
export interface InventoryKeeperOptions {
  readonly state: ClusterState;
  readonly store: StateStore;
  readonly logger: Logger;
  readonly failpoint: AgentFailpoint;
  /** What looks like ours in the cluster, for when the inventory is lost. */
  readonly findOurs: (signal: AbortSignal) => Promise<readonly InventoryEntry[]>;
  /** Hears what happened. */
  readonly event: (type: string, message: string) => void;
}

/** Keeps the inventory in the cluster ahead of creations and behind deletions. Writes nothing if nothing is new. */
export interface InventoryKeeper {
  /** Reads it, once. Damage or loss gives an empty one that says so; throws AGENT_STATE if it cannot be read now. */
  load(signal: AbortSignal): Promise<void>;
  /**
   * Before a newer slice is kept. If an older one lies there than this process has seen, etcd was restored from a snapshot, and with it came
   * back objects that were deleted since: the next {@link load} takes the inventory of then into account (E099).
   */
  lookForRewind(): Promise<void>;
  /** After a slice was kept. */
  kept(slice: Generation): void;
  /** Before the first apply of an object its entry is written: whatever happens next, the object is known (I5). */
  claim(desired: DesiredState): Promise<void>;
  /** After the applies: new UIDs, and which bundles are complete. */
  record(summaries: readonly ApplySummary[]): Promise<void>;
  save(inventory: Inventory): Promise<void>;
}

const INVENTORY = "inventory";

const REWOUND = "The agent's state is older than what it had kept: nothing is pruned until a full apply is done";

export function createInventoryKeeper(options: InventoryKeeperOptions): InventoryKeeper {
  const { state, store, logger, failpoint, event } = options;
  let loaded = false;
  /** The newest slice that this process has seen in the store. */
  let mark: Generation | undefined;
  /** As it was at the time of the snapshot that etcd was restored from. */
  let rewound: Inventory | undefined;

  async function lookForRewind(): Promise<void> {
    const now = loaded ? await readHighWater(store) : undefined;
    if (!now) return;
    if (mark && compareGenerations(now, mark) < 0) rewound ??= await readAgain();
    mark = now;
  }

  async function save(wanted: Inventory): Promise<void> {
    const inventory = { ...wanted, bundles: stillToKnow(wanted) };
    failpoint("agent.beforeInventoryWrite");
    await lookForRewind();
    // What came with the snapshot must not be written over before it was read.
    if (rewound) throw new CodedError("AGENT_STATE_REWOUND", REWOUND);
    await store.write(INVENTORY, Buffer.from(formatInventory(inventory)));
    state.inventory = inventory;
    failpoint("agent.afterInventoryWrite");
  }

  function stillToKnow({ bundles, entries }: Inventory): ReadonlyMap<string, BundleMemory> {
    const present = new Set((state.desired?.slice.bundles ?? []).map((bundle) => bundle.name));
    for (const { bundle } of entries.values()) present.add(bundle);
    return worthRemembering(bundles, present);
  }

  /** Without its memory the agent prunes nothing until one full apply has made the inventory anew (E096). */
  async function lost(how: "damaged" | "missing", error: CodedError | undefined, signal: AbortSignal): Promise<void> {
    const marked = await options.findOurs(signal);
    // Of a bundle that this agent does not know: more likely another fleet's in the same cluster than an old one of ours.
    const bundles = new Set(state.desired?.slice.bundles.map((bundle) => bundle.name));
    const found = marked.filter((entry) => bundles.has(entry.bundle));
    const others = marked.length - found.length;
    const message = `the inventory is ${how}: ${found.length} objects were found by their label; nothing is pruned until a full apply is done, and what left Git before that waits for an approval${others > 0 ? `; ${others} of unknown bundles are left alone` : ""}`;
    logger.error({ code: "AGENT_STATE_CORRUPT", ...(error && { err: error }) }, message);
    event("InventoryLost", message);
    state.inventory = { ...EMPTY_INVENTORY, entries: new Map(found.map((entry) => [entry.ref, entry])), rebuilt: true };
  }

  /** Both of what was known before and what came back: an object that is in neither place is not deleted, it is gone. */
  function takeRewound(then: Inventory): void {
    logger.error({ code: "AGENT_STATE_REWOUND" }, REWOUND);
    event("StateRewound", REWOUND);
    const entries = new Map(then.entries);
    for (const [ref, now] of state.inventory.entries) {
      // The object that came back has the UID of then.
      const uid = then.entries.get(ref)?.uid ?? now.uid;
      entries.set(ref, { ...now, ...(uid !== undefined && { uid }) });
    }
    const bundles = new Map([...then.bundles, ...state.inventory.bundles]);
    state.inventory = { entries, applied: new Map(), bundles, rebuilt: true };
    // What is in the cluster now is not what was applied.
    state.lastApplied.clear();
  }

  /** Damage is told by the next {@link InventoryKeeper.load} of a new process; here it is no reason to refuse a slice. */
  async function readAgain(): Promise<Inventory> {
    try {
      const bytes = await store.read(INVENTORY);
      return bytes ? parseInventory(bytes.toString()) : EMPTY_INVENTORY;
    } catch (error) {
      if (CodedError.from(error, "AGENT_STATE_CORRUPT").code === "AGENT_STATE_CORRUPT") return EMPTY_INVENTORY;
      throw error;
    }
  }

  return {
    save,
    lookForRewind,
    kept(slice) {
      mark = slice;
    },
    async load(signal) {
      if (rewound) takeRewound(rewound);
      rewound = undefined;
      if (loaded) return;
      try {
        const bytes = await store.read(INVENTORY);
        if (bytes) state.inventory = parseInventory(bytes.toString());
        // A process that was started with a kept slice and finds no inventory has lost it, or had not begun to apply.
        else if (state.resumed) await lost("missing", undefined, signal);
      } catch (error) {
        const coded = CodedError.from(error, "AGENT_STATE_CORRUPT");
        if (coded.code !== "AGENT_STATE_CORRUPT") throw coded;
        await lost("damaged", coded, signal);
      }
      loaded = true;
    },
    async claim(desired) {
      const claimed = claimObjects(state.inventory, desired, (bundle) => state.linesOf(bundle));
      if (claimed) await save(claimed);
    },
    async record(summaries) {
      const entries = new Map(state.inventory.entries);
      const applied = new Map(state.inventory.applied);
      let grown = [noteReported(entries, state), noteFinished(entries, state)].includes(true);
      for (const [ref, uid] of summaries.flatMap((summary) => [...summary.uids])) {
        const entry = entries.get(ref);
        if (!entry || uid === "") continue;
        entries.set(ref, { ...entry, uid });
        grown = true;
      }
      let complete = true;
      for (const bundle of state.desired?.slice.bundles ?? []) {
        const done = state.linesOf(bundle.name).every((line) => state.isApplied(line));
        // Of one that is paused nothing is deleted, so nothing of it need be applied before anything else is.
        complete &&= done || state.paused.has(bundle.name);
        if (!done || bundle.state !== "desired" || applied.get(bundle.name) === bundle.manifestSet.digest) continue;
        applied.set(bundle.name, bundle.manifestSet.digest);
        grown = true;
      }
      const rebuilt = state.inventory.rebuilt && !complete;
      if (grown || rebuilt !== state.inventory.rebuilt) await save({ ...state.inventory, entries, applied, rebuilt });
    },
  };
}

/**
 * Notes in mode report, and in a pause, what each object was applied as: a new process is to tell of drift, not to write over it. Gives true
 * if any was new.
 */
function noteReported(entries: Map<ObjectRefText, InventoryEntry>, state: ClusterState): boolean {
  let grown = false;
  for (const bundle of state.desired?.slice.bundles ?? []) {
    const content = state.desired && contentOf(bundle, state.desired);
    for (const { ref, digest } of content ? state.linesOf(bundle.name) : []) {
      const entry = entries.get(ref);
      const asApplied = content?.options.drift.mode === DriftMode.Report || content?.options.paused ? digest : undefined;
      if (!entry || entry.applied === asApplied || state.lastApplied.get(ref) !== digest) continue;
      const { applied: _, ...rest } = entry;
      entries.set(ref, { ...rest, ...(asApplied && { applied: asApplied }) });
      grown = true;
    }
  }
  return grown;
}

/** Notes which Jobs have run: a new process is not to run them again because they have removed themselves (E132). Gives true if any was new. */
function noteFinished(entries: Map<ObjectRefText, InventoryEntry>, state: ClusterState): boolean {
  let grown = false;
  for (const [ref, finished] of state.finished) {
    const entry = entries.get(ref);
    if (!entry || entry.finished === finished) continue;
    entries.set(ref, { ...entry, finished });
    grown = true;
  }
  return grown;
}
