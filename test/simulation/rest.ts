import {
  BUNDLE_LABEL,
  DriftMode,
  FIELD_MANAGER,
  formatObjectRef,
  isJsonObject,
  type Manifest,
  type ObjectRefText,
  objectRefOf,
  parseObjectRef,
} from "@muster/shared/model";
import { canonicalJson } from "@muster/shared/wire";
import { bundleOf } from "../../agent/src/apply/foreign-owner.ts";
import { DEFINITION, NAMESPACE } from "../../agent/src/kube/testing/memory/kinds.ts";
import type { MemoryApi } from "../../agent/src/kube/testing/memory/memory-api.ts";
import { PRUNE_ANNOTATION } from "../../agent/src/plan/prune-policy.ts";
import { AGENT_NAMESPACE } from "./agent-process.ts";
import { type Expectation, expectationOf, type Wanted } from "./expectation.ts";
import { annotationsOf, type Commit } from "./git.ts";
import type { AgentMemory } from "./memory-of-agent.ts";
import type { Finding, Oracle } from "./oracle.ts";

/** What is looked at when everything should be in order. */
export interface RestScope {
  readonly api: MemoryApi;
  readonly memory: AgentMemory;
  readonly oracle: Oracle;
  readonly disturbed: Pick<ReadonlySet<ObjectRefText>, "has">;
  /** The last that was published, and its generation. */
  readonly newest: Commit;
  readonly generation: number;
}

const DEFINITIONS = { group: DEFINITION.group, kind: DEFINITION.kind };

type Problem = Pick<Finding, "invariant" | "what">;

/** What is not as it should be now that nothing goes wrong any more: I6, I7, I5. Empty: all is well. */
export function judgeRest(scope: RestScope): Problem[] {
  const { api, memory, oracle } = scope;
  const problems: Problem[] = [];
  const say = (invariant: Finding["invariant"], what: string) => void problems.push({ invariant, what });
  const kept = memory.slice()?.generation ?? 0;
  // The mark is written after the slice; where it is behind, the slice counts.
  if (kept !== scope.generation || memory.highWater() > kept) {
    say("I6", `generation ${scope.generation} was published; ${kept} is kept, ${memory.highWater()} the high-water mark`);
    return problems;
  }
  const expectation = expectationOf(oracle.taken);
  if (expectation.paused) return problems;
  const stuck = stuckBundles(expectation, scope);
  const live = new Map([...api.store.all()].map((object) => [formatObjectRef(objectRefOf(object)), object]));
  const whyNot = (ref: ObjectRefText, wanted: Wanted) =>
    isExempt(scope, ref, wanted, stuck)
      ? undefined
      : whyNotAsWanted(live.get(ref), wanted, scope.disturbed.has(ref), hasStrayFields(scope, ref));
  const unsure = ambiguousBundles(expectation, scope);
  for (const [ref, wanted] of expectation.wanted) {
    const why = whyNot(ref, wanted);
    if (why && !unsure.some(({ name, other }) => name === wanted.bundle && [...other].every((one) => !whyNot(...one))))
      say("I7", `${ref} ${why}`);
  }
  const inventory = memory.inventory();
  for (const [ref, object] of live) {
    if (object.metadata["namespace"] === AGENT_NAMESPACE || !isOurs(object, oracle)) continue;
    const entry = inventory.entries.get(ref);
    const wanted = expectation.wanted.get(ref);
    const bundle = wanted?.bundle;
    if (!entry && oracle.strays.has(String(object.metadata["uid"]))) continue;
    if (!entry) say("I5", `${ref} is ours and not in the inventory`);
    // An apply whose answer was lost, of what is not wanted any more before the next: its UID is learned when it is deleted. And what is
    // only reported may be gone when an apply arrives that nobody waits for any more: that makes it anew, which is told as drift.
    else if (entry.uid !== object.metadata["uid"] && !stuck.has(entry.bundle) && wanted && !isExempt(scope, ref, wanted, stuck))
      say("I5", `${ref} has the UID ${entry.uid} in the inventory, ${object.metadata["uid"]} in the cluster`);
    else if (bundle !== undefined && entry.bundle !== bundle)
      say("I5", `${ref} is of ${entry.bundle} in the inventory, of ${bundle} in Git`);
    else if (bundle === undefined && !expectation.covers(ref) && !stuck.has(entry.bundle)) {
      const why = oracle.whyStays(ref, object, entry) ?? inhabited(object, live) ?? whoWaits(entry.bundle, scope, expectation, live, stuck);
      if (why === undefined) say("I7", `${ref} has left Git and is still there`);
    }
  }
  for (const [ref, entry] of inventory.entries) {
    if (live.has(ref) || stuck.has(entry.bundle) || expectation.keeps || scope.disturbed.has(ref) || expectation.covers(ref)) continue;
    // What waits is not looked at before its turn.
    const waits = oracle.isHeld(entry) || whoWaits(entry.bundle, scope, expectation, live, stuck) !== undefined;
    if (!waits) say("I5", `${ref} is in the inventory and not in the cluster`);
  }
  return problems;
}

/** Ours by every mark: the next prune would take it. */
function isOurs(object: Manifest, oracle: Oracle): boolean {
  const { managedFields, uid } = object.metadata;
  const entries = Array.isArray(managedFields) ? managedFields.filter(isJsonObject) : [];
  const isApplied = entries.some((entry) => entry["manager"] === FIELD_MANAGER && entry["operation"] === "Apply");
  const bundle = bundleOf(object);
  return isApplied && bundle !== undefined && !bundle.startsWith("stranger") && oracle.ours.has(String(uid));
}

/** Kept bundles that a slice has changed meanwhile that no agent could keep, and what that made of them: an agent may know it or not. */
function ambiguousBundles(
  { wanted, commit }: Expectation,
  { oracle, generation }: RestScope,
): { readonly name: string; readonly other: ReadonlyMap<ObjectRefText, Wanted> }[] {
  const published = expectationOf(oracle.publishedUntil(generation)).wanted;
  const of = (all: Expectation["wanted"], name: string) => new Map([...all].filter(([, { bundle }]) => bundle === name));
  const textOf = (some: Expectation["wanted"]) => canonicalJson([...some].map(([ref, { manifest }]) => [ref, manifest]).sort());
  return commit.bundles.flatMap(({ name, objects }) => {
    const other = of(published, name);
    return !objects && textOf(of(wanted, name)) !== textOf(other) ? [{ name, other }] : [];
  });
}

function isUncorrected({ drift }: Wanted["options"]): boolean {
  return drift !== undefined && drift.mode !== DriftMode.Correct;
}

/**
 * Bundles that are paused, those with an object that cannot be applied, and those that wait for one of these: what they want may be missing,
 * and what left them may stay.
 */
function stuckBundles({ wanted, commit }: Expectation, scope: RestScope): Set<string> {
  const stuck = new Set<string>();
  for (const { bundle, manifest } of wanted.values()) if (whyRefused(manifest, scope)) stuck.add(bundle);
  const names = new Set(commit.bundles.map(({ name }) => name));
  for (const { bundle, options } of wanted.values()) if (options.paused) stuck.add(bundle);
  for (const { name, objects, options } of commit.bundles) {
    // Of what is kept without having had anything, nobody knows how it is.
    const isUnknown = !objects && ![...wanted.values()].some(({ bundle }) => bundle === name);
    if (isUnknown || options?.paused) stuck.add(name);
  }
  // What only reports what was done to it is not in order either, which is nothing to itself.
  const unready = new Set<string>();
  for (const [ref, { bundle, options }] of wanted) if (isUncorrected(options) && scope.disturbed.has(ref)) unready.add(bundle);
  const isInOrder = (name: string) => names.has(name) && !stuck.has(name) && !unready.has(name);
  for (let before = -1; before < stuck.size; ) {
    before = stuck.size;
    for (const { bundle, options } of wanted.values()) if (!(options.dependsOn ?? []).every(isInOrder)) stuck.add(bundle);
  }
  return stuck;
}

/** What leaves a bundle goes after what leaves those that depend on it (E012), some of which may never go. */
function whoWaits(
  bundle: string,
  { memory, oracle }: RestScope,
  { covers, commit }: Expectation,
  live: ReadonlyMap<ObjectRefText, Manifest>,
  stuck: ReadonlySet<string>,
): string | undefined {
  const { entries, bundles } = memory.inventory();
  const depends = new Set(commit.bundles.filter(({ options }) => options?.dependsOn?.includes(bundle)).map(({ name }) => name));
  // Of those that have left Git themselves only the inventory tells.
  for (const [name, { dependsOn = [] }] of bundles) if (dependsOn.includes(bundle)) depends.add(name);
  const waiting = [...entries.values()].find((entry) => {
    const object = live.get(entry.ref);
    if (!depends.has(entry.bundle) || covers(entry.ref)) return false;
    // Of one that is stuck, whether it is there is not looked at before it is its turn.
    return stuck.has(entry.bundle) || (object !== undefined && oracle.whyStays(entry.ref, object, entry) !== undefined);
  });
  return waiting && `${waiting.ref} of ${waiting.bundle} is to go first`;
}

/** Why an object of the simulation is refused by the API server, or must not become ours. */
function whyRefused(manifest: Manifest, { api, oracle, memory, newest, disturbed }: RestScope): string | undefined {
  if (manifest["dta"] !== undefined) return "its manifest has a field that there is not";
  const { namespace, kind, name, group } = objectRefOf(manifest);
  const definition = formatObjectRef({ ...DEFINITIONS, namespace: "", name: `${kind.toLowerCase()}s.${group}` });
  // Somebody has deleted it, and only reported it may be that nobody makes it anew.
  if (disturbed.has(definition) && !api.store.get(DEFINITION, "", parseObjectRef(definition).name)) return "its kind is not there";
  if (namespace !== "" && !api.store.get(NAMESPACE, "", namespace)) return "its namespace is not there";
  const there = api.store.list({ group, kind }, { namespace }).find(({ metadata }) => metadata.name === name);
  // Only what is known to be ours is deleted to be made anew.
  if (there?.["immutable"] === true && !isOurs(there, oracle)) return "it cannot be changed, and is not ours";
  if (there === undefined || annotationsOf(manifest)["muster.dev/adopt"] === "always") return undefined;
  const bundle = bundleOf(there);
  const { entries } = memory.inventory();
  const entry = entries.get(formatObjectRef(objectRefOf(manifest)));
  const known = [...newest.bundles.map(({ name }) => name), ...[...entries.values()].map((one) => one.bundle), ...(entry?.was ?? [])];
  const isKnown = bundle !== undefined && known.includes(bundle);
  if (annotationsOf(there)["meta.helm.sh/release-name"] !== undefined && !isKnown) return "it is Helm's";
  return bundle === undefined || isKnown || entry?.uid === there.metadata["uid"] ? undefined : "it is another fleet's";
}

/** Nothing can be said of it: its bundle is stuck, or leaves what others have done to it. */
function isExempt({ disturbed }: RestScope, ref: ObjectRefText, { bundle, options }: Wanted, stuck: ReadonlySet<string>): boolean {
  return stuck.has(bundle) || (isUncorrected(options) && disturbed.has(ref));
}

/** Fields without owner may be left: what is nobody's is not removed. */
function hasStrayFields({ oracle, disturbed }: RestScope, ref: ObjectRefText): boolean {
  return oracle.freed.has(ref) || disturbed.has(ref);
}

function whyNotAsWanted(
  live: Manifest | undefined,
  { manifest, options }: Wanted,
  isDisturbed: boolean,
  mayHaveMore: boolean,
): string | undefined {
  if (!live) return "is missing";
  if (live.metadata["deletionTimestamp"]) return "is wanted and being deleted";
  const isLeft = isDisturbed && options.drift?.ignore.some(({ kind }) => kind === "ConfigMap" && kind === live.kind);
  const { metadata, ...rest } = isLeft ? withoutLeft(manifest) : manifest;
  const ignoresReplicas = live.kind === "Deployment" && options.drift?.ignore.some(({ kind }) => kind === "Deployment");
  const wanted = ignoresReplicas ? withoutReplicas(rest as Manifest) : rest;
  const path = firstDifference(live, { ...wanted, metadata: { labels: metadata["labels"], annotations: metadata["annotations"] } }, "");
  if (path !== undefined)
    return `is not as ${String((metadata["labels"] as { [BUNDLE_LABEL]: string })[BUNDLE_LABEL])} wants it at ${path}`;
  const surplus = mayHaveMore ? undefined : surplusData(live, manifest);
  return surplus === undefined ? undefined : `has ${surplus}, which nobody wants`;
}

/** But for what rules of the simulation leave to others in ConfigMaps. */
function withoutLeft(manifest: Manifest): Manifest {
  const { value: _, ...data } = isJsonObject(manifest["data"]) ? manifest["data"] : {};
  const { [PRUNE_ANNOTATION]: __, ...annotations } = annotationsOf(manifest);
  const { annotations: had, ...metadata } = manifest.metadata;
  return { ...manifest, data, metadata: { ...metadata, ...(had !== undefined && Object.keys(annotations).length > 0 && { annotations }) } };
}

function withoutReplicas(manifest: Manifest): Manifest {
  const { replicas: _, ...spec } = manifest["spec"] as { replicas?: number };
  return { ...manifest, spec };
}

function firstDifference(live: unknown, wanted: unknown, path: string): string | undefined {
  if (wanted === undefined) return undefined;
  if (Array.isArray(wanted)) {
    if (!Array.isArray(live) || live.length < wanted.length) return path;
    const misfit = wanted.findIndex((item) => !live.some((one) => firstDifference(one, item, "") === undefined));
    return misfit < 0 ? undefined : `${path}[${misfit}]`;
  }
  if (!isJsonObject(wanted)) return live === wanted ? undefined : path;
  if (!isJsonObject(live)) return path;
  for (const [key, value] of Object.entries(wanted)) {
    const found = firstDifference(live[key], value, `${path}.${key}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Data that Git does not have and that no other manager owns. */
function surplusData(live: Manifest, wanted: Manifest): string | undefined {
  if (!isJsonObject(live["data"]) || !isJsonObject(wanted["data"])) return undefined;
  const wants = wanted["data"];
  const entries = live.metadata["managedFields"];
  const others = (Array.isArray(entries) ? entries.filter(isJsonObject) : []).filter(({ manager }) => manager !== FIELD_MANAGER);
  const isOwned = (key: string) =>
    others.some(
      ({ fieldsV1 }) => isJsonObject(fieldsV1) && isJsonObject(fieldsV1["f:data"]) && fieldsV1["f:data"][`f:${key}`] !== undefined,
    );
  return Object.keys(live["data"]).find((key) => wants[key] === undefined && !isOwned(key));
}

/** A namespace or a definition that holds objects is not deleted. */
function inhabited(object: Manifest, live: ReadonlyMap<ObjectRefText, Manifest>): string | undefined {
  const { name } = object.metadata;
  if (object.kind !== "Namespace" && object.kind !== "CustomResourceDefinition") return undefined;
  const group = name.slice(name.indexOf(".") + 1);
  for (const ref of live.keys()) {
    const one = parseObjectRef(ref);
    if (object.kind === "Namespace" ? one.namespace === name : one.group === group) return `there is ${ref}`;
  }
  return undefined;
}
