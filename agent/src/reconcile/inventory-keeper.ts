import { CodedError } from "@muster/shared/errors";
import { compareGenerations, DriftMode, type Generation, type ObjectRefText, parseObjectRef } from "@muster/shared/model";
import { LogField, type Logger } from "@muster/shared/telemetry";
import type { AgentFailpoint } from "../failpoints.ts";
import { type BundleMemory, worthRemembering } from "../plan/bundle-memory.ts";
import {
  EMPTY_INVENTORY,
  formatInventory,
  type Inventory,
  type InventoryEntry,
  mergeInventories,
  parseInventory,
  UNSURE,
} from "../plan/inventory.ts";
import { InventoryDraft } from "../plan/inventory-draft.ts";
import { type DesiredState, readHighWater } from "../pull/desired-state.ts";
import type { StateStore } from "../pull/state-store.ts";
import { claimObjects } from "./claim-objects.ts";
import type { ClusterState } from "./cluster-state.ts";
import type { FoundObjects, Where } from "./find-ours.ts";

/** Options of {@link createInventoryKeeper}. */
export interface InventoryKeeperOptions {
  readonly state: ClusterState;
  readonly store: StateStore;
  readonly logger: Logger;
  readonly failpoint: AgentFailpoint;
  /** What looks like ours in the cluster, for when the inventory is lost. */
  readonly findOurs: (where: Where, signal: AbortSignal) => Promise<FoundObjects>;
  /** The agent works in these namespaces only; anywhere, if there are none. */
  readonly watchNamespaces: readonly string[];
  /** Hears what happened. */
  readonly event: (type: string, message: string) => void;
}

/** Keeps the inventory in the cluster ahead of creations and behind deletions. Writes nothing if nothing is new. */
export interface InventoryKeeper {
  /** Reads it, once. Damage or loss gives an empty one that says so; throws AGENT_STATE if it cannot be read now. */
  load(signal: AbortSignal): Promise<void>;
  /** The same for a slice that is not in force yet; what came back with a snapshot of etcd is left for {@link load}. */
  know(desired: DesiredState, signal: AbortSignal): Promise<void>;
  /** true: {@link load} has been done. */
  readonly loaded: boolean;
  /** How often the state was found to be an older one. */
  readonly rewinds: number;
  /**
   * Before a newer slice is kept. If an older one lies there than this process has seen, etcd was restored from a snapshot, and with it came
   * back objects that were deleted since: the next {@link load} takes the inventory of then into account (E099). Gives the newest that was kept.
   */
  lookForRewind(): Promise<Generation | undefined>;
  /** After a slice was kept. */
  kept(slice: Generation): void;
  /** Before the first apply of an object its entry is written: whatever happens next, the object is known (I5). */
  claim(desired: DesiredState): Promise<void>;
  /**
   * Before the first slice is kept: from then on an inventory that is not there was lost. Without this, a process that was killed before
   * its first claim would look like one that has lost its memory, and its successor would prune nothing.
   */
  begin(desired: DesiredState, signal: AbortSignal): Promise<void>;
  /** After the applies: new UIDs, and which bundles are complete. */
  record(): Promise<void>;
  save(inventory: Inventory): Promise<void>;
}

/** Its name in the {@link StateStore}. */
export const INVENTORY = "inventory";

const WAITS = "nothing is pruned until a full apply is done, and what left Git before that waits for an approval";

const REWOUND = "The agent's state is older than what it had kept: nothing is pruned until a full apply is done";

export function createInventoryKeeper(options: InventoryKeeperOptions): InventoryKeeper {
  const { state, store, logger, failpoint, event } = options;
  let loaded = false;
  /** There is one in the store. */
  let isKept = false;
  let loading: Promise<void> | undefined;
  let rewinds = 0;
  /** What {@link InventoryKeeper.claim} has gone through already. */
  let claimed: { readonly desired: DesiredState; readonly inventory: Inventory } | undefined;
  /** The newest slice that this process has seen in the store. */
  let mark: Generation | undefined;
  /** As it was at the time of the snapshot that etcd was restored from. */
  let rewound: Inventory | undefined;

  async function lookForRewind(): Promise<Generation | undefined> {
    const known = mark;
    const now = await readHighWater(store);
    if (!loaded || !now) return now;
    if (known && compareGenerations(now, known) < 0) {
      if (!rewound) {
        store.distrust();
        rewound = await readAgain();
      }
      mark = now;
    } else if (!mark || compareGenerations(now, mark) > 0) {
      // Where a slice was kept since the question, the answer is about what was before it.
      mark = now;
    }
    return now;
  }

  /** Never over what another agent has noted: then both is kept. Gives what was written. */
  async function write(inventory: Inventory): Promise<Inventory> {
    try {
      await store.write(INVENTORY, Buffer.from(formatInventory(inventory)));
      return inventory;
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== "AGENT_STATE_CONFLICT") throw error;
      logger.warn({ [LogField.Code]: error.code }, `${error.message}: what it says is kept too`);
      const merged = mergeInventories(inventory, await readAgain());
      await store.write(INVENTORY, Buffer.from(formatInventory(merged)));
      return merged;
    }
  }

  async function save(wanted: Inventory): Promise<void> {
    const inventory = { ...wanted, bundles: stillToKnow(wanted) };
    failpoint("agent.beforeInventoryWrite");
    await lookForRewind();
    // What came with the snapshot must not be written over before it was read.
    if (rewound) throw new CodedError("AGENT_STATE_REWOUND", REWOUND);
    state.inventory = await write(inventory);
    isKept = true;
    failpoint("agent.afterInventoryWrite");
  }

  function stillToKnow({ bundles, entries }: Inventory): ReadonlyMap<string, BundleMemory> {
    const present = new Set((state.desired?.slice.bundles ?? []).map((bundle) => bundle.name));
    for (const { bundle } of entries.values()) present.add(bundle);
    return worthRemembering(bundles, present);
  }

  /** Without its memory the agent prunes nothing until one full apply has made the inventory anew (E096). */
  async function lost(
    how: "damaged" | "missing",
    desired: DesiredState | undefined,
    signal: AbortSignal,
    error?: CodedError,
  ): Promise<void> {
    const { entries: marked, unseen } = await options.findOurs(
      { ...whereOf(desired, options), elsewhere: options.watchNamespaces.length === 0, clusterScoped: true },
      signal,
    );
    // Of a bundle that this agent does not know: more likely another fleet's in the same cluster than an old one of ours.
    const bundles = new Set(desired?.slice.bundles.map((bundle) => bundle.name));
    const found = marked.filter((entry) => bundles.has(entry.bundle));
    const others = marked.length - found.length;
    const message = `the inventory is ${how}: ${found.length} objects were found by their label; ${WAITS}${others > 0 ? `; ${others} of unknown bundles are left alone` : ""}${describeUnseen(unseen)}`;
    logger.error({ code: "AGENT_STATE_CORRUPT", ...(error && { err: error }) }, message);
    event("InventoryLost", message);
    state.inventory = rebuiltFrom(found);
  }

  /**
   * An agent without inventory and without slice is new here, or has lost both, which is the same to it. What it had left behind stands
   * where its bundles have objects now; anywhere else, and without a namespace, the same label is rather another agent's.
   */
  async function lookAround(desired: DesiredState | undefined, signal: AbortSignal): Promise<void> {
    const where = whereOf(desired, options);
    if (where.namespaces.length === 0) return;
    const { entries, unseen } = await options.findOurs({ ...where, elsewhere: false, clusterScoped: false }, signal);
    const bundles = new Set(desired?.slice.bundles.map((bundle) => bundle.name));
    const found = entries.filter((entry) => bundles.has(entry.bundle));
    if (found.length === 0) return;
    const message = `there is neither inventory nor slice, as if the agent were new here, but ${found.length} objects were found by their label: its state was lost; ${WAITS}${describeUnseen(unseen)}`;
    logger.error({ code: "AGENT_STATE_CORRUPT" }, message);
    event("InventoryLost", message);
    state.inventory = rebuiltFrom(found);
  }

  /** Both of what was known before and what came back: an object that is in neither place is not deleted, it is gone. */
  function takeRewound(then: Inventory): void {
    logger.error({ code: "AGENT_STATE_REWOUND" }, REWOUND);
    event("StateRewound", REWOUND);
    rewinds += 1;
    const entries = new Map(then.entries);
    for (const [ref, now] of state.inventory.entries) {
      // The object that came back has the UID of then.
      const uid = then.entries.get(ref)?.uid ?? now.uid;
      entries.set(ref, { ...now, ...(uid !== undefined && { uid }), ...(now.applied && { applied: UNSURE }) });
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

  async function loadOnce(desired: DesiredState | undefined, signal: AbortSignal): Promise<void> {
    try {
      const bytes = await store.read(INVENTORY);
      isKept = bytes !== undefined;
      if (bytes) state.inventory = parseInventory(bytes.toString());
      // A process that was started with a kept slice and finds no inventory has lost it.
      else if (state.resumed) await lost("missing", desired, signal);
      else await lookAround(desired, signal);
    } catch (error) {
      const coded = CodedError.from(error, "AGENT_STATE_CORRUPT");
      if (coded.code !== "AGENT_STATE_CORRUPT") throw coded;
      await lost("damaged", desired, signal, coded);
    }
    loaded = true;
  }

  /** A pass and a slice that cannot be kept may both want it at once. */
  function know(desired: DesiredState | undefined, signal: AbortSignal): Promise<void> {
    if (loaded) return Promise.resolve();
    loading ??= loadOnce(desired, signal).finally(() => {
      loading = undefined;
    });
    return loading;
  }

  return {
    save,
    know,
    lookForRewind,
    get loaded() {
      return loaded;
    },
    get rewinds() {
      return rewinds;
    },
    kept(slice) {
      mark = slice;
    },
    async load(signal) {
      if (rewound) takeRewound(rewound);
      rewound = undefined;
      await know(state.desired, signal);
    },
    async begin(desired, signal) {
      if (state.desired) return;
      await know(desired, signal);
      if (!isKept) await save(state.inventory);
    },
    async claim(desired) {
      // Most passes have neither a new slice nor a new inventory.
      if (claimed?.desired === desired && claimed.inventory === state.inventory) return;
      const grown = claimObjects(state.inventory, desired, {
        linesOf: (bundle) => state.linesOf(bundle),
        modeOf: (bundle, ref) => state.driftModes.of(bundle, ref),
      });
      if (grown) await save(grown);
      claimed = { desired, inventory: state.inventory };
    },
    async record() {
      const draft = new InventoryDraft(state.inventory.entries);
      noteReported(draft, state);
      noteFinished(draft, state);
      const newUids = [...state.newUids];
      noteUids(draft, newUids);
      const applied = new Map(state.inventory.applied);
      let grown = draft.isChanged;
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
      if (grown || rebuilt !== state.inventory.rebuilt) await save({ ...state.inventory, entries: draft.entries, applied, rebuilt });
      for (const [ref, uid] of newUids) if (state.newUids.get(ref) === uid) state.newUids.delete(ref);
    },
  };
}

/** Until one full apply nothing is pruned. */
function rebuiltFrom(found: readonly InventoryEntry[]): Inventory {
  return { ...EMPTY_INVENTORY, entries: new Map(found.map((entry) => [entry.ref, entry])), rebuilt: true };
}

function describeUnseen(unseen: readonly string[]): string {
  return unseen.length > 0 ? `; of ${unseen.join(", ")} nothing could be found, for their server does not answer` : "";
}

/** Where the agent may work or, if that is anywhere, where the slice has objects. */
function whereOf(
  desired: DesiredState | undefined,
  { watchNamespaces }: Pick<InventoryKeeperOptions, "watchNamespaces">,
): Pick<Where, "namespaces" | "isBound"> {
  if (watchNamespaces.length > 0) return { namespaces: watchNamespaces, isBound: true };
  const lines = [...(desired?.bundles.values() ?? [])].flat();
  const namespaces = new Set(lines.map(({ ref }) => parseObjectRef(ref).namespace).filter((namespace) => namespace !== ""));
  return { namespaces: [...namespaces], isBound: false };
}

function noteUids(draft: InventoryDraft, uids: readonly (readonly [ObjectRefText, string])[]): void {
  for (const [ref, uid] of uids) {
    const entry = draft.get(ref);
    if (entry && uid !== "") draft.set({ ...entry, uid });
  }
}

/** Notes in modes report and off, and in a pause, what each object was applied as: a new process is to tell of drift, not to write over it. */
function noteReported(draft: InventoryDraft, state: ClusterState): void {
  for (const bundle of state.desired?.slice.bundles ?? []) {
    for (const { ref, digest } of state.linesOf(bundle.name)) {
      const entry = draft.get(ref);
      const isCorrected = state.driftModes.of(bundle.name, ref) === DriftMode.Correct && !state.paused.has(bundle.name);
      const asApplied = state.comingBack.has(ref) ? UNSURE : isCorrected ? undefined : digest;
      if (!entry || (entry.applied === asApplied && !entry.was) || state.lastApplied.get(ref) !== digest) continue;
      const { applied: _, was: __, ...rest } = entry;
      draft.set({ ...rest, ...(asApplied && { applied: asApplied }) });
    }
  }
}

/** Notes which Jobs have run: a new process is not to run them again because they have removed themselves (E132). */
function noteFinished(draft: InventoryDraft, state: ClusterState): void {
  for (const [ref, finished] of state.finished) {
    const entry = draft.get(ref);
    if (entry && entry.finished !== finished) draft.set({ ...entry, finished });
  }
}
