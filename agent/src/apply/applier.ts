import { CodedError } from "@muster/shared/errors";
import {
  Action,
  type BundleOptions,
  describeObjectRef,
  Health,
  type Manifest,
  type ObjectRef,
  type ObjectRefText,
  objectRefOf,
  parseObjectRef,
  splitApiVersion,
} from "@muster/shared/model";
import type { Clock } from "@muster/shared/runtime";
import type { ManifestLine } from "@muster/shared/wire";
import type { AgentFailpoint } from "../failpoints.ts";
import type { Cluster, ResourceType } from "../kube/cluster.ts";
import type { DiscoveryCache } from "../kube/discovery-cache.ts";
import { isUnserved } from "../kube/map-error.ts";
import { perAccount } from "../kube/per-account.ts";
import { computeHealth } from "../observe/health.ts";
import { rulesFor } from "../observe/ignore-rules.ts";
import type { Observer } from "../observe/observer.ts";
import { refuseForeign } from "./adoption.ts";
import { changedPaths } from "./changed-paths.ts";
import { isMarked } from "./foreign-owner.ts";
import { leaveToOthers } from "./left-to-others.ts";
import { makeRoom } from "./recreate.ts";
import { type OwnershipPatch, takeOverFromKubectl, takeOverList } from "./take-over.ts";

/** What an apply needs to know of one object beside its manifest. */
export interface ApplyTask {
  readonly line: ManifestLine;
  readonly bundle: string;
  readonly options: BundleOptions;
  /** UID that the inventory knows it by: what has it is ours. Absent while nothing there is. */
  readonly uid?: string;
  /** What a list has shown in its place, null for nothing; absent: the applier looks itself. */
  readonly before?: Manifest | null;
  /** A bundle that this agent has, or has objects of. Default: only the object's own. */
  readonly isKnown?: (bundle: string) => boolean;
  /** Asks the server what would be, without storing (modes report and off after a restart). */
  readonly dryRun?: boolean;
  /** Nothing is written for this task once it does not hold any more. Default: it always does. */
  readonly isDue?: () => boolean;
  /** Foreign ownership was dealt with once: what is there again is somebody who will not stop. */
  readonly settled?: boolean;
}

/** What an apply did. */
export interface ApplyResult {
  readonly action: Action;
  readonly uid: string;
  /** It was there before and was not ours: the paths that were changed of it. */
  readonly adopted?: readonly string[];
}

export interface Applier {
  /** Applies one object. Throws a CodedError, SLICE_STALE when it was not due any more; the observer knows the result either way. */
  apply(task: ApplyTask, signal: AbortSignal): Promise<ApplyResult>;
  /** Waits until a CustomResourceDefinition is established, at most `timeoutMs` (default 10 000). */
  waitEstablished(ref: ObjectRefText, signal: AbortSignal, timeoutMs?: number): Promise<void>;
}

/** Options of {@link createApplier}. */
export interface ApplierOptions {
  readonly cluster: Cluster;
  readonly discovery: DiscoveryCache;
  readonly observer: Observer;
  readonly clock: Clock;
  /** The agent's own namespace: no slice may change the agent's state. */
  readonly ownNamespace: string;
  /** What is not watched is not applied either: its drift would never be seen. Default: every namespace is watched. */
  readonly watchNamespaces?: readonly string[];
  /** Default: none. */
  readonly failpoint?: AgentFailpoint;
}

const NAMESPACES: ResourceType = { group: "", version: "v1", kind: "Namespace", plural: "namespaces", namespaced: false, verbs: [] };

/** Each object is applied in the name of its bundle's account, if it has one (E008). */
export function createApplier(options: ApplierOptions): Applier {
  const inNameOf = perAccount(options.cluster, (cluster) => cluster);
  return {
    apply(task, signal) {
      const cluster = inNameOf(task.options.serviceAccount);
      return createApplierAs({ ...options, cluster: task.isDue ? cluster.writtenWhile(task.isDue) : cluster }).apply(task, signal);
    },
    // Whether the cluster has a kind is nobody's secret, and asked for all bundles.
    waitEstablished: (ref, signal, timeoutMs) => createApplierAs(options).waitEstablished(ref, signal, timeoutMs),
  };
}

function createApplierAs(options: ApplierOptions): Applier {
  const { cluster, discovery, observer, clock, ownNamespace, watchNamespaces = [], failpoint = () => {} } = options;

  async function apply(task: ApplyTask, signal: AbortSignal): Promise<ApplyResult> {
    const { line, bundle } = task;
    const { ignore } = task.options.drift;
    const ref = parseObjectRef(line.ref);
    refuseReserved(ref.namespace, ref.kind, ref.name);
    const type = await discovery.typeOf(ref, splitApiVersion(line.head.apiVersion).version);
    if (type.namespaced) refuseUnwatched(ref);
    const inGit = line.manifest;
    const rules = rulesFor(inGit, ignore);
    const { there, found, isNew } = await look(task, type, rules.length > 0, signal);
    const wanted = withoutAggregatedRules(inScope(inGit, type));
    const asApplied = (live: Manifest | undefined) =>
      live && rules.length > 0 ? leaveToOthers(wanted, live, rules) : { manifest: wanted };
    const isKnown = knownBundles(task);
    const adoptee = { type, inGit, options: task.options, isKnown };
    if (isNew && found) await refuseForeign({ ...adoptee, wanted: asApplied(found).manifest, live: found }, cluster, signal);
    // Before the apply: with kubectl still owning a port of a Service, the new one of the same name would be refused (E029).
    const before = found && ((await takeOver(task, type, found, takeOverFromKubectl(found, wanted), signal)) ?? found);
    const { manifest, leftOut } = asApplied(before);
    const live = await send(task, type, manifest, signal);
    const dryRun = task.dryRun && task.uid !== undefined ? { uid: task.uid, found: before } : undefined;
    observer.applied({ ref: line.ref, bundle, type, manifest, live, rules, ...(leftOut && { leftOut }), ...(dryRun && { dryRun }) });
    // Somebody had removed all managedFields, so the server has put what was there under a name of its own; or kubectl was here (E040).
    const left = await takeOver(task, type, live, takeOverFromKubectl(live, wanted), signal);
    if (left && !task.settled) return apply({ ...task, before: left, settled: true }, signal);
    const { uid } = identityOf(live);
    if (task.dryRun) return { action: Action.Skipped, uid };
    const adopted = isNew && found && !isMarked(found, isKnown) ? { adopted: changedPaths(found, live) } : {};
    return { action: actionOf(there, live), uid, ...adopted };
  }

  /**
   * What is there before an apply. What is not known to be ours may be somebody else's and is looked at before it is taken, and
   * ignored fields are taken from what is there; otherwise the last observation is good enough.
   */
  async function look(task: ApplyTask, type: ResourceType, hasIgnored: boolean, signal: AbortSignal): Promise<Look> {
    const known = observer.get(task.line.ref);
    if (task.uid !== undefined && !task.dryRun && known && !hasIgnored) return { there: known, found: undefined, isNew: false };
    const ref = parseObjectRef(task.line.ref);
    const found = await whatIsThere(task, type, ref, signal);
    const isNew = found !== undefined && found.metadata["uid"] !== task.uid;
    return { there: found && identityOf(found), found, isNew };
  }

  async function whatIsThere(task: ApplyTask, type: ResourceType, ref: ObjectRef, signal: AbortSignal): Promise<Manifest | undefined> {
    if (task.before !== undefined) return task.before ?? undefined;
    return cluster.get(type, ref.namespace, ref.name, signal);
  }

  async function send({ line, dryRun }: ApplyTask, type: ResourceType, manifest: Manifest, signal: AbortSignal): Promise<Manifest> {
    observer.expectApply(line.ref);
    try {
      return await cluster.apply(type, manifest, { force: true, signal, ...(dryRun && { dryRun }) });
    } catch (error) {
      observer.applyFailed(line.ref);
      throw error;
    }
  }

  /** Makes fields ours that no other manager wants any more. Gives the object as it is then. */
  async function takeOver(
    task: ApplyTask,
    type: ResourceType,
    live: Manifest,
    patch: OwnershipPatch | undefined,
    signal: AbortSignal,
  ): Promise<Manifest | undefined> {
    if (!patch || task.dryRun) return undefined;
    const { namespace, name } = objectRefOf(live);
    const taken = await cluster.mergePatch(type, namespace, name, { metadata: patch }, signal);
    failpoint("agent.afterTakeOver");
    return taken;
  }

  /** Removes what keeps the server from taking an object, where that is allowed; throws the server's error where it is not. */
  async function overcome(task: ApplyTask, error: CodedError, signal: AbortSignal): Promise<void> {
    const ref = parseObjectRef(task.line.ref);
    const type = await discovery.typeOf(ref, splitApiVersion(task.line.head.apiVersion).version);
    const manifest = inScope(task.line.manifest, type);
    if (error.code === "KUBE_IMMUTABLE") {
      const onDelete = () => observer.forget(task.line.ref);
      const recreation = { type, manifest, isKnown: knownBundles(task), error, ...(task.uid !== undefined && { uid: task.uid }) };
      return makeRoom(recreation, { cluster, ownNamespace, failpoint, onDelete }, signal);
    }
    // Another manager's entry of a list has the name that one of ours is to get: a list that only Git has a say in (E029).
    const path = duplicatedList(error);
    const live = path && (await cluster.get(type, ref.namespace, ref.name, signal));
    const taken = live && (await takeOver(task, type, live, takeOverList(live, path, manifest), signal));
    if (!taken) throw error;
  }

  function refuseReserved(namespace: string, kind: string, name: string): void {
    if (namespace === ownNamespace && kind === "Secret" && name.startsWith("muster-state-")) {
      throw new CodedError("OBJECT_RESERVED", `Secret ${namespace}/${name} is the agent's own state`);
    }
  }

  function refuseUnwatched(ref: ObjectRef): void {
    if (watchNamespaces.length === 0 || watchNamespaces.includes(ref.namespace)) return;
    const where = `this agent looks at the namespaces ${watchNamespaces.join(", ")} only`;
    throw new CodedError("NAMESPACE_NOT_WATCHED", `${describeObjectRef(ref)}: ${where}`);
  }

  async function createNamespace(name: string, signal: AbortSignal): Promise<void> {
    // No bundle label: it is nobody's object, so nobody prunes it (E004).
    const manifest: Manifest = { apiVersion: "v1", kind: "Namespace", metadata: { name, annotations: { "muster.dev/implicit": "true" } } };
    await cluster.create(NAMESPACES, manifest, signal).catch((error: unknown) => {
      if (!(error instanceof CodedError) || error.code !== "KUBE_CONFLICT") throw error;
    });
  }

  return {
    async apply(task, signal) {
      try {
        return await apply(task, signal);
      } catch (error) {
        const code = error instanceof CodedError ? error.code : undefined;
        const { before: _, ...again } = task;
        // Somebody wrote between our look and our apply: look once more.
        if (code === "KUBE_CONFLICT") return apply(again, signal);
        if (isUnserved(error)) {
          await discovery.refresh({ signal });
          return apply(again, signal);
        }
        if (!task.dryRun && error instanceof CodedError && (code === "KUBE_IMMUTABLE" || code === "KUBE_INVALID")) {
          await overcome(task, error, signal);
          return apply(again, signal);
        }
        if (code !== "NAMESPACE_MISSING" || !task.options.createNamespace || task.dryRun) throw error;
        await createNamespace(parseObjectRef(task.line.ref).namespace, signal);
        failpoint("agent.afterNamespace");
        return apply(again, signal);
      }
    },
    async waitEstablished(refText, signal, timeoutMs = 10_000) {
      const ref = parseObjectRef(refText);
      const type = await discovery.typeOf(ref);
      const until = clock.monotonicMs() + timeoutMs;
      for (;;) {
        const live = await cluster.get(type, "", ref.name, signal);
        if (live && computeHealth(live).health === Health.Current) break;
        if (clock.monotonicMs() > until) throw new CodedError("KIND_UNKNOWN", `${describeObjectRef(ref)} is not established yet`);
        await clock.sleep(20, signal);
      }
    },
  };
}

function knownBundles({ bundle, isKnown = (name) => name === bundle }: ApplyTask): (name: string) => boolean {
  return isKnown;
}

/** What stands where an object is to be applied. */
interface Look {
  readonly there: Identity | undefined;
  /** The object itself, if it had to be read. */
  readonly found: Manifest | undefined;
  /** It is not the one that the inventory knows. */
  readonly isNew: boolean;
}

/** One state of one object. */
interface Identity {
  readonly uid: string;
  readonly resourceVersion: string;
}

function identityOf({ metadata }: Manifest): Identity {
  return { uid: String(metadata["uid"] ?? ""), resourceVersion: String(metadata["resourceVersion"] ?? "") };
}

/** What an apply did, from what was there before and what is there now. */
function actionOf(before: Identity | undefined, live: Manifest): Action {
  const now = identityOf(live);
  if (!before || before.uid !== now.uid) return Action.Created;
  return before.resourceVersion === now.resourceVersion ? Action.Unchanged : Action.Configured;
}

/** A namespace on a cluster-scoped object is refused by the server, and the hub cannot always know the scope (E053). */
function inScope(manifest: Manifest, type: ResourceType): Manifest {
  if (type.namespaced || manifest.metadata["namespace"] === undefined) return manifest;
  const { namespace: _, ...metadata } = manifest.metadata;
  return { ...manifest, metadata: metadata as Manifest["metadata"] };
}

/** What an aggregated ClusterRole allows is the aggregation controller's to say (E032). */
function withoutAggregatedRules(manifest: Manifest): Manifest {
  if (manifest.kind !== "ClusterRole" || manifest["aggregationRule"] === undefined || manifest["rules"] === undefined) return manifest;
  const { rules: _, ...rest } = manifest;
  return rest as Manifest;
}

/** The list of `spec.template.spec.containers[0].ports[1].name`, where a duplicate was found; `*` stands for an item of a list on the way. */
function duplicatedList(error: CodedError): string[] | undefined {
  const fields = error.data["duplicates"];
  const match = Array.isArray(fields) ? /^(.+)\[\d+\][^[\]]*$/.exec(String(fields[0])) : null;
  return match?.[1]?.split(".").flatMap((name) => (name.endsWith("]") ? [name.slice(0, name.indexOf("[")), "*"] : [name]));
}
