import {
  FIELD_MANAGER,
  formatObjectRef,
  isJsonObject,
  type JsonObject,
  type Manifest,
  type ObjectRefText,
  objectRefOf,
  parseObjectRef,
  type Slice,
} from "@muster/shared/model";
import { canonicalJson, deletionApprovalId } from "@muster/shared/wire";
import { bundleOf } from "../../agent/src/apply/foreign-owner.ts";
import { BUILT_IN, definedTypes } from "../../agent/src/kube/testing/memory/kinds.ts";
import type { MemoryApi } from "../../agent/src/kube/testing/memory/memory-api.ts";
import type { Inventory, InventoryEntry } from "../../agent/src/plan/inventory.ts";
import { PRUNE_ANNOTATION } from "../../agent/src/plan/prune-policy.ts";
import { AGENT_NAMESPACE } from "./agent-process.ts";
import { type Expectation, expectationOf, type Wanted } from "./expectation.ts";
import { annotationsOf, type Commit } from "./git.ts";
import type { AgentMemory } from "./memory-of-agent.ts";
import type { Carried } from "./network.ts";
import { describe } from "./network.ts";

/** A broken invariant. */
export interface Finding {
  /** As in reliability.md, section 7. */
  readonly invariant: `I${number}`;
  readonly what: string;
  /** Milliseconds since the beginning. */
  readonly atMs: number;
}

/** A change that the API server has made for an agent. */
export interface AgentWrite extends Carried {
  readonly before: Manifest | undefined;
  readonly after: Manifest | undefined;
  readonly atMs: number;
}

/** Judges every write of the agents when it happens, by what was published and what the cluster holds: never by what an agent says. */
export interface Oracle {
  readonly findings: readonly Finding[];
  /** Every slice that the cluster has kept, in order. */
  readonly taken: readonly Commit[];
  /** Every slice that was published, up to that generation: one may be known to an agent that could not keep it. */
  publishedUntil(generation: number): readonly Commit[];
  /** UIDs that an agent has written. */
  readonly ours: ReadonlySet<string>;
  /** UIDs of what an agent has applied that was not the writer any more when its request arrived (ADR 0008): nobody need know it. */
  readonly strays: ReadonlySet<string>;
  /** Objects of which an agent has once given up its fields: what nobody owns stays. */
  readonly freed: ReadonlySet<ObjectRefText>;
  /** Before a slice is said to anybody. */
  published(slice: Slice, commit: Commit): void;
  judge(write: AgentWrite): void;
  /** Why something that left Git stays under the slice in force; undefined: it is to be deleted. */
  whyStays(ref: ObjectRefText, live: Manifest, entry: InventoryEntry): string | undefined;
  /** Its deletion waits for a person: then nobody looks whether it is there still, for an approval is of just these objects. */
  isHeld(entry: InventoryEntry): boolean;
  say(invariant: Finding["invariant"], what: string): void;
}

/** Options of {@link createOracle}. */
export interface OracleOptions {
  readonly api: MemoryApi;
  readonly memory: AgentMemory;
  readonly nowMs: () => number;
  /** When somebody else last did something to an object. */
  readonly touchedMs: (ref: ObjectRefText) => number | undefined;
}

/** What an agent has decided it may do within this time, though the slice that it went by is not the newest any more. Milliseconds. */
const LAG_MS = 60_000;

/** What rules may leave to others: a value, the annotation that somebody has set by hand. */
interface Leaving {
  readonly value: boolean;
  readonly policy: boolean;
}

const LEAVINGS: readonly Leaving[] = [true, false].flatMap((value) => [true, false].map((policy) => ({ value, policy })));

/** Stands for whatever somebody else has made of a value that rules leave to them. */
const ANY_VALUE = "*";

/** A look at the Lease is good for a second, and its answer for five (ADR 0008). Milliseconds. */
const OUTDATED_MS = 7_000;

const LEASES = BUILT_IN.find(({ kind }) => kind === "Lease");

const PROTECTED_KINDS = new Set(["Namespace", "CustomResourceDefinition", "PersistentVolumeClaim"]);

export function createOracle({ api, memory, nowMs, touchedMs }: OracleOptions): Oracle {
  const findings: Finding[] = [];
  const commits = new Map<number, { readonly slice: Slice; readonly commit: Commit }>();
  /** Every manifest that some slice wanted, by ref. */
  const signed = new Set<string>();
  /** What was in force, and until when. */
  const reigns: { readonly expectation: Expectation; readonly slice: Slice; untilMs: number; markedMs?: number }[] = [];
  const taken: Commit[] = [];
  const ours = new Set<string>();
  const strays = new Set<string>();
  let lease: { readonly holder: unknown; readonly sinceMs: number } = { holder: undefined, sinceMs: 0 };
  const freed = new Set<ObjectRefText>();
  let lastInventory: Inventory = memory.inventory();

  const say: Oracle["say"] = (invariant, what) => {
    if (!findings.some((known) => known.what === what)) findings.push({ invariant, what, atMs: nowMs() });
  };

  /** What may still be in force for somebody who decided a moment ago. */
  function mayReign() {
    return reigns.filter(({ untilMs }) => untilMs > nowMs() - LAG_MS);
  }

  /** Somebody may have changed it between an agent's look and its write: only the UID is a precondition of both. */
  function isTouched(ref: ObjectRefText): boolean {
    return (touchedMs(ref) ?? Number.NEGATIVE_INFINITY) > nowMs() - LAG_MS;
  }

  function judgeState({ request }: AgentWrite): void {
    const name = request.name.replace(/^muster-state-/, "");
    if (name === "slice") judgeSlice();
    else if (name === "inventory") judgeInventory();
    else if (name === "high-water") {
      const last = reigns.at(-1);
      if (last && memory.highWater() >= last.slice.generation) last.markedMs ??= nowMs();
    }
  }

  /** I2, I6: what is kept is newer than what was. */
  function judgeSlice(): void {
    const slice = memory.slice();
    const known = slice && commits.get(slice.generation);
    if (!slice) say("I2", "the kept slice is gone");
    else if (!known) say("I1", `a slice of generation ${slice.generation} was kept that nobody has published`);
    if (!slice || !known) return;
    const last = reigns.at(-1);
    if (last && last.slice.generation > slice.generation)
      say("I2", `generation ${last.slice.generation} was kept, then ${slice.generation}`);
    if (last && last.slice.generation === slice.generation) return;
    if (last) last.untilMs = nowMs();
    taken.push(known.commit);
    reigns.push({ slice: known.slice, expectation: expectationOf(taken), untilMs: Number.POSITIVE_INFINITY });
  }

  /** I5: an entry goes only when its object is gone, or not ours any more. */
  function judgeInventory(): void {
    const now = memory.inventory();
    for (const [ref, entry] of lastInventory.entries) {
      if (now.entries.has(ref)) continue;
      const live = find(ref);
      if (live && isOurs(live) && isMarked(live) && !mayBeUnknown(bundleOf(live), entry, now))
        say("I5", `${ref} left the inventory (of ${entry.bundle}) while it is in the cluster and ours`);
    }
    lastInventory = now;
  }

  /** Somebody has given it the label of another bundle, which the agent does not have, nor objects of: to it that is another fleet's. */
  function mayBeUnknown(bundle = "", own: InventoryEntry, { entries }: Inventory): boolean {
    const isOfNone = [own, ...entries.values()].every((entry) => entry.bundle !== bundle) && !own.was?.includes(bundle);
    return isOfNone && mayReign().some(({ slice }) => slice.bundles.every(({ name }) => name !== bundle));
  }

  function find(ref: ObjectRefText): Manifest | undefined {
    const { group, kind, namespace, name } = parseObjectRef(ref);
    return api.store.list({ group, kind }, namespace === "" ? {} : { namespace }).find(({ metadata }) => metadata.name === name);
  }

  /** The bundle that an object is of, as its label says, if it is one that Git has or had. */
  function isMarked(live: Manifest): boolean {
    const bundle = bundleOf(live);
    return bundle !== undefined && !bundle.startsWith("stranger") && !isControlled(live.metadata);
  }

  function isOurs(live: Manifest): boolean {
    return ours.has(String(live.metadata["uid"])) && isAppliedByUs(live);
  }

  /** It was the writer when it looked, a moment ago as it knows. */
  function isOutdated({ caller, sentMs }: AgentWrite): boolean {
    return lease.holder !== caller.name && sentMs < lease.sinceMs + OUTDATED_MS;
  }

  function judgeLease(): void {
    const live = LEASES && api.store.get(LEASES, AGENT_NAMESPACE, "muster-agent");
    const holder = isJsonObject(live?.["spec"]) ? live["spec"]["holderIdentity"] : undefined;
    if (lease.holder !== holder) lease = { holder, sinceMs: nowMs() };
  }

  function judgeApply(write: AgentWrite, manifest: Manifest | undefined): void {
    const { request, after, before } = write;
    if (!after) return;
    const ref = formatObjectRef(objectRefOf(after));
    const uid = String(after.metadata["uid"]);
    if (manifest && !signed.has(textOf(ref, manifest)) && !isWithTheirs(ref, manifest))
      say("I1", `${describe(request)}: applied what no slice says`);
    // Only now is a slice in force for all who have kept it: its mark is the last that is written.
    const isInForce = (reigns.at(-1)?.markedMs ?? Number.POSITIVE_INFINITY) < nowMs() - LAG_MS;
    const isHeld = ({ expectation: { paused, wanted } }: (typeof reigns)[number]) => paused || wanted.get(ref)?.options.paused === true;
    if (isInForce && mayReign().every(isHeld)) say("I7", `${describe(request)} was applied in a pause`);
    if (!memory.inventory().entries.has(ref)) {
      if (isOutdated(write)) strays.add(uid);
      else say("I5", `${describe(request)} was applied and is not in the inventory`);
    }
    const isFound = before && !ours.has(uid) && !isMarked(before) && annotationsOf(after)["muster.dev/adopt"] !== "always";
    // An apply of what is not there has no precondition: it takes what is made between the look and itself.
    if (isFound && !isTouched(ref)) {
      if (annotationsOf(before)["meta.helm.sh/release-name"]) say("I3", `${describe(request)} belongs to Helm and was taken`);
      if (bundleOf(before) !== undefined) say("I3", `${describe(request)} is another fleet's and was taken`);
    }
    ours.add(uid);
  }

  /** As some slice says, but for what rules leave to somebody else, where it is as that one has it or not in the manifest at all. */
  function isWithTheirs(ref: ObjectRefText, manifest: Manifest): boolean {
    const value = isJsonObject(manifest["data"]) ? manifest["data"]["value"] : undefined;
    const mayBeLeft = {
      value: value === undefined || String(value).startsWith("edited"),
      policy: annotationsOf(manifest)[PRUNE_ANNOTATION] === undefined,
    };
    return LEAVINGS.some(
      (left) => (mayBeLeft.value || !left.value) && (mayBeLeft.policy || !left.policy) && signed.has(textOf(ref, manifest, left)),
    );
  }

  function judgeDelete(write: AgentWrite): void {
    const { request, before } = write;
    if (!before || before.metadata["deletionTimestamp"]) return;
    const ref = formatObjectRef(objectRefOf(before));
    const blame = (why: string) => say("I3", `${describe(request)} was deleted, and ${why}`);
    const { entries } = memory.inventory();
    const entry = entries.get(ref);
    if (request.uid !== before.metadata["uid"]) blame("its UID is not the one that was named");
    if (!ours.has(String(before.metadata["uid"]))) blame("it was never ours");
    if (!isMarked(before) && !isTouched(ref)) blame("it is not ours any more");
    const inside = dependentsOf(before).find((one) => !entries.has(formatObjectRef(objectRefOf(one))));
    if (inside) blame(`with it goes ${formatObjectRef(objectRefOf(inside))}, which is not ours`);
    if (!entry) {
      blame("it is not in the inventory");
      return;
    }
    if (entry.uid !== undefined && entry.uid !== before.metadata["uid"] && !isAppliedByUs(before))
      blame("it is not the one in the inventory");
    const reasons = mayReign().map((reign) => mayDelete(ref, before, entry, entries, reign));
    if (!reasons.includes(undefined)) blame(reasons.at(-1) ?? "no slice is in force");
  }

  /** What goes with a namespace or a definition. */
  function dependentsOf(object: Manifest): Manifest[] {
    const kinds = new Set(definedTypes(object).map(({ kind }) => kind));
    if (object.kind !== "Namespace" && kinds.size === 0) return [];
    return [...api.store.all()].filter(({ kind, metadata }) => metadata["namespace"] === object.metadata.name || kinds.has(kind));
  }

  /** A kept bundle is as the last slice had it that was complete, kept or not: which of those since the last kept one, only the agent knows. */
  function wantedBefore(ref: ObjectRefText, { generation, bundles }: Slice): Wanted[] {
    const lastKept = Math.max(0, ...reigns.map((reign) => reign.slice.generation).filter((one) => one < generation));
    const between = [...commits].filter(([one]) => one > lastKept && one < generation);
    const kept = new Set(bundles.flatMap(({ name, state }) => (state === "keep" ? [name] : [])));
    const wanted = between.flatMap(([, { commit }]) => expectationOf([commit]).wanted.get(ref) ?? []);
    return wanted.filter(({ bundle }) => kept.has(bundle));
  }

  /** undefined: under this slice it may go. */
  function mayDelete(
    ref: ObjectRefText,
    live: Manifest,
    entry: InventoryEntry,
    entries: ReadonlyMap<ObjectRefText, InventoryEntry>,
    { expectation, slice }: { readonly expectation: Expectation; readonly slice: Slice },
  ): string | undefined {
    const { wanted, paused } = expectation;
    const want = wanted.get(ref);
    if (paused) return "the slice pauses the cluster";
    if (isPaused(want?.bundle ?? entry.bundle, slice)) return "its bundle is paused";
    const mayMakeAnew = ({ manifest }: Wanted) =>
      live["immutable"] === true &&
      canonicalJson(live["data"] ?? {}) !== canonicalJson(manifest["data"] ?? {}) &&
      annotationsOf(manifest)["muster.dev/recreate"] === "onImmutable";
    if ([...(want ? [want] : []), ...wantedBefore(ref, slice)].some(mayMakeAnew)) return undefined;
    if (expectation.covers(ref)) return "the slice has it (I4)";
    const policy = annotationsOf(live)[PRUNE_ANNOTATION];
    if (policy !== undefined && policy !== "enabled" && !isTouched(ref)) return "its annotation says that it stays";
    if (entry.orphan || isOrphaned(entry, slice)) return "its bundle said that it stays";
    const { namespace } = parseObjectRef(ref);
    if (namespace === AGENT_NAMESPACE || namespace === "kube-system") return "it stands where nothing is ever deleted";
    return entry.approved ? undefined : beyondBudget(ref, entries, expectation, slice);
  }

  function isOrphaned(entry: InventoryEntry, slice: Slice): boolean {
    const bundle = slice.bundles.find(({ name }) => name === entry.bundle);
    if (!bundle) return memory.inventory().bundles.get(entry.bundle)?.orphan === true;
    return bundle.state === "desired" && !bundle.options.prune;
  }

  function isPaused(bundle: string, slice: Slice): boolean {
    const said = (one: Slice["bundles"][number]) => (one.state === "desired" ? one.options.paused : one.paused);
    return slice.bundles.some((one) => one.name === bundle && said(one) === true);
  }

  function beyondBudget(
    ref: ObjectRefText,
    entries: ReadonlyMap<ObjectRefText, InventoryEntry>,
    expectation: Expectation,
    slice: Slice,
  ): string | undefined {
    const leaving = [...entries.values()].filter((one) => {
      const { namespace } = parseObjectRef(one.ref);
      const stays = one.orphan || one.approved || isOrphaned(one, slice) || isPaused(one.bundle, slice);
      return !expectation.covers(one.ref) && !stays && namespace !== AGENT_NAMESPACE;
    });
    const isApproved = (refs: readonly InventoryEntry[]) =>
      slice.approvedDeletions.includes(deletionApprovalId(refs.map((one) => one.ref)));
    if (isApproved(leaving)) return undefined;
    const { objects, percent } = slice.deletionBudget;
    const isTooMany = leaving.length > objects || (leaving.length > 10 && leaving.length * 100 > entries.size * percent);
    if (isTooMany || expectation.wanted.size === 0) return `${leaving.length} of ${entries.size} are to leave, which nobody has approved`;
    const wasPaused = (bundle: string) => memory.inventory().bundles.get(bundle)?.paused === true;
    const guarded = leaving.filter((one) => one.found || wasPaused(one.bundle) || PROTECTED_KINDS.has(parseObjectRef(one.ref).kind));
    if (guarded.some((one) => one.ref === ref) && !isApproved(guarded)) return "its like is deleted with an approval only";
    return undefined;
  }

  return {
    whyStays(ref, live, entry) {
      const reign = reigns.at(-1);
      return reign ? mayDelete(ref, live, entry, memory.inventory().entries, reign) : "no slice is in force";
    },
    isHeld(entry) {
      const reign = reigns.at(-1);
      const { entries } = memory.inventory();
      return reign !== undefined && !entry.approved && beyondBudget(entry.ref, entries, reign.expectation, reign.slice) !== undefined;
    },
    findings,
    taken,
    publishedUntil: (generation) => [...commits].filter(([key]) => key <= generation).map(([, { commit }]) => commit),
    ours,
    strays,
    freed,
    say,
    published(slice, commit) {
      commits.set(slice.generation, { slice, commit });
      const { wanted } = expectationOf([commit]);
      for (const [ref, { manifest, options }] of wanted) {
        signed.add(textOf(ref, manifest));
        if (options.drift?.ignore.some(({ kind }) => kind === manifest.kind))
          for (const left of LEAVINGS) signed.add(textOf(ref, manifest, left));
      }
    },
    judge(write) {
      const { request } = write;
      const isState = request.namespace === AGENT_NAMESPACE && request.type?.kind === "Secret" && request.name.startsWith("muster-state-");
      if (isState) return judgeState(write);
      if (request.type?.kind === "Lease") return judgeLease();
      if (request.verb === "apply") judgeApply(write, request.manifest);
      if (request.verb === "delete") judgeDelete(write);
      if (request.verb === "patch" && write.after) {
        freed.add(formatObjectRef(objectRefOf(write.after)));
        // Taken over from kubectl: from here on it is adopted, whatever becomes of the apply.
        if (isAppliedByUs(write.after)) ours.add(String(write.after.metadata["uid"]));
      }
    },
  };
}

function isControlled(metadata: Manifest["metadata"]): boolean {
  const owners = metadata["ownerReferences"];
  return Array.isArray(owners) && owners.some((owner) => isJsonObject(owner) && owner["controller"] === true);
}

/** Our apply owns something of it. */
export function isAppliedByUs({ metadata }: Manifest): boolean {
  const entries = metadata["managedFields"];
  return (
    Array.isArray(entries) &&
    entries.some((entry) => isJsonObject(entry) && entry["manager"] === FIELD_MANAGER && entry["operation"] === "Apply")
  );
}

/** What tells one manifest from another, but for what rules of the simulation leave to others. */
function textOf(ref: ObjectRefText, manifest: Manifest, left: Leaving = { value: false, policy: false }): string {
  const { resourceVersion: _, uid: __, annotations: ___, ...metadata } = manifest.metadata;
  const { [PRUNE_ANNOTATION]: policy, ...others } = annotationsOf(manifest);
  const annotations = left.policy || policy === undefined ? others : { ...others, [PRUNE_ANNOTATION]: policy };
  const data = isJsonObject(manifest["data"]) ? manifest["data"] : {};
  const isScaled = manifest.kind === "Deployment" && isJsonObject(manifest["spec"]);
  const parts = {
    ...manifest,
    metadata: { ...metadata, annotations },
    ...(isScaled && { spec: { ...(manifest["spec"] as JsonObject), replicas: 0 } }),
  };
  return `${ref} ${canonicalJson({ ...parts, data: left.value ? { ...data, value: ANY_VALUE } : data })}`;
}
