import { CodedError, type ErrorCode } from "@muster/shared/errors";
import {
  BUNDLE_LABEL,
  describeObjectRef,
  FIELD_MANAGER,
  type Manifest,
  type ObjectRef,
  objectRefOf,
  parseObjectRef,
  type ServiceAccountRef,
} from "@muster/shared/model";
import type { Cluster, DeleteOptions, ResourceType } from "../kube/cluster.ts";
import type { DiscoveryCache } from "../kube/discovery-cache.ts";
import { isDefined } from "../kube/is-defined.ts";
import { isUnserved } from "../kube/map-error.ts";
import { perAccount } from "../kube/per-account.ts";
import { isAppliedByUs, managedFields } from "../observe/field-set.ts";
import type { Observer } from "../observe/observer.ts";
import type { InventoryEntry } from "../plan/inventory.ts";
import { PROPAGATION_ANNOTATION, PRUNE_ANNOTATION, PrunePolicy, propagationOf, prunePolicyOf } from "../plan/prune-policy.ts";
import { refuseUnsafeDeletion } from "./deletion-guards.ts";
import { bundleOf, controllerOf } from "./foreign-owner.ts";

/** What came of the deletion of one object. */
export interface PruneResult {
  /** `gone`: confirmed. `terminating`: asked for, finalizers are outstanding. `released`: it stays, and is not ours (any more). */
  readonly outcome: "gone" | "terminating" | "released";
  /** For people; empty where there is nothing to add. */
  readonly why: string;
  /** Since when it is being deleted, RFC 3339. */
  readonly since?: string;
}

/** What a deletion has to know of the rest. */
export interface PruneContext {
  /** The slice has an object of that group, kind and name in whatever namespace: of kinds without namespaces there is only one. */
  readonly isWanted: (ref: ObjectRef) => boolean;
  /** The object is being deleted in the same pass. */
  readonly leaves: (ref: ObjectRef) => boolean;
  /** A bundle that this agent has, or has objects of. */
  readonly isKnown: (bundle: string) => boolean;
  /** In whose name objects of a bundle are deleted and released; undefined: in our own. */
  readonly accountOf: (bundle: string) => ServiceAccountRef | undefined;
  /** Nothing is written once it does not hold any more. Default: it always does. */
  readonly isDue?: () => boolean;
  /** It stands where nothing is ever deleted (E083). Default: it does not. */
  readonly isProtected?: boolean;
  /** Git says that the object stays in the cluster. */
  readonly keep: boolean;
}

/** Options of {@link createPruner}. */
export interface PrunerOptions {
  readonly cluster: Cluster;
  readonly discovery: DiscoveryCache;
  readonly observer: Observer;
}

/** Deletes one object that left Git, or lets go of it. Throws PRUNE_*, KUBE_* or SLICE_STALE; then the entry stays in the inventory. */
export type Pruner = (entry: InventoryEntry, context: PruneContext, signal: AbortSignal) => Promise<PruneResult>;

const GONE: PruneResult = { outcome: "gone", why: "" };
const released = (why: string): PruneResult => ({ outcome: "released", why });

export function createPruner(options: PrunerOptions): Pruner {
  const inNameOf = perAccount(options.cluster, (cluster) => cluster);
  return (entry, context, signal) => {
    const cluster = inNameOf(context.accountOf(entry.bundle));
    return createPrunerAs(context.isDue ? cluster.writtenWhile(context.isDue) : cluster, options)(entry, context, signal);
  };
}

function createPrunerAs(cluster: Cluster, { cluster: own, discovery, observer }: PrunerOptions): Pruner {
  const prune: Pruner = async (entry, context, signal) => {
    const ref = parseObjectRef(entry.ref);
    const type = await typeOf(ref, signal);
    if (!type) return GONE;
    if (!type.namespaced && context.isWanted(ref)) return released("Git wants it under another name of its namespace");
    const live = await cluster.get(type, ref.namespace, ref.name, signal);
    if (!live) return GONE;
    const foreign = whyNotOurs(live, entry, context);
    if (foreign !== undefined) return released(foreign);
    if (context.keep || prunePolicyOf(live) === PrunePolicy.Keep) {
      observer.forget(entry.ref);
      await letGo(live, type, signal);
      return released("it is kept, as its bundle or an annotation says");
    }
    if (context.isProtected) return withdraw(live, type, signal);
    if (live.metadata["deletionTimestamp"]) return terminating(live);
    const how = await howToDelete(live, context, signal);
    observer.forget(entry.ref);
    const left = await cluster.delete(type, ref.namespace, ref.name, { ...how, signal });
    return left ? terminating(left) : GONE;
  };

  /** Throws where the object must not be deleted, by its annotations or for the sake of others. */
  async function howToDelete(
    live: Manifest,
    { leaves }: PruneContext,
    signal: AbortSignal,
  ): Promise<Pick<DeleteOptions, "uid" | "propagation">> {
    const policy = prunePolicyOf(live);
    const propagation = propagationOf(live);
    if (policy === undefined || propagation === undefined) {
      const annotation = policy ? PROPAGATION_ANNOTATION : PRUNE_ANNOTATION;
      throw new CodedError("PRUNE_BLOCKED", `${describeObjectRef(objectRefOf(live))}: its annotation ${annotation} has an unknown value`);
    }
    if (policy === PrunePolicy.Protect) {
      const todo = `take the annotation ${PRUNE_ANNOTATION} off it, and it is deleted`;
      throw new CodedError(
        "PRUNE_PROTECTED",
        `${describeObjectRef(objectRefOf(live))} left Git and is protected by its annotation; ${todo}`,
      );
    }
    if (policy !== PrunePolicy.Cascade) await refuseUnsafeDeletion(live, { cluster, discovery, leaves }, signal);
    return { uid: String(live.metadata["uid"] ?? ""), propagation };
  }

  /**
   * A Namespace that others live in was there before us: it gets back its fields as they were without ours (E083). Anything else that stands
   * in a protected place would be an empty shell without them, and stays as it is until a person deletes it.
   */
  async function withdraw(live: Manifest, type: ResourceType, signal: AbortSignal): Promise<PruneResult> {
    const { name } = live.metadata;
    if (type.group !== "" || type.kind !== "Namespace")
      throw new CodedError("PRUNE_PROTECTED", `${describeObjectRef(objectRefOf(live))} is never deleted where it stands`);
    await cluster.apply(type, { apiVersion: "v1", kind: "Namespace", metadata: { name } }, { force: true, signal });
    return released("a Namespace that is never deleted; what Git had set on it is withdrawn");
  }

  /**
   * Takes our marks off an object that stays: the label by which we watch, and our ownership of its fields, which would make a conflict
   * for whoever manages it from now on.
   */
  async function letGo(live: Manifest, type: ResourceType, signal: AbortSignal): Promise<void> {
    const { namespace, name } = objectRefOf(live);
    const others = managedFields(live).filter((entry) => entry["manager"] !== FIELD_MANAGER || entry["operation"] !== "Apply");
    const { uid = "", resourceVersion = "" } = live.metadata;
    const metadata = {
      uid,
      resourceVersion,
      labels: { [BUNDLE_LABEL]: null },
      // Nobody would own them, so they would outlive what Git says when it has the object again.
      annotations: { [PRUNE_ANNOTATION]: null, [PROPAGATION_ANNOTATION]: null },
      // An empty list means “as it was”; this is how the API server is told that nobody owns anything.
      managedFields: others.length > 0 ? others : [{}],
    };
    await cluster.mergePatch(type, namespace, name, { metadata }, signal);
  }

  /** undefined: the kind is gone, and with it every object of it (E087). What cannot be asked proves nothing (E006). */
  async function typeOf(ref: ObjectRef, signal: AbortSignal): Promise<ResourceType | undefined> {
    const known = (await discovery.current(signal)).find(ref.group, ref.kind);
    if (known) return known;
    const fresh = await discovery.refresh({ signal });
    const found = fresh.find(ref.group, ref.kind);
    if (found) return found;
    if (fresh.failedGroups.has(ref.group))
      throw new CodedError("KIND_UNAVAILABLE", `${describeObjectRef(ref)}: the API group ${ref.group} does not answer`);
    // About the cluster, not in the bundle's name: who may not look at definitions is told that there is none.
    if (await isDefined(own, fresh, ref, signal))
      throw new CodedError("PRUNE_BLOCKED", `${describeObjectRef(ref)}: its kind is defined but not served`);
    return undefined;
  }

  return async (entry, context, signal) => {
    try {
      return await prune(entry, context, signal);
    } catch (error) {
      if (!isUnserved(error)) throw blocked(error);
      // The definition has changed since discovery was asked, or is gone.
      await discovery.refresh({ signal });
      return prune(entry, context, signal).catch((again: unknown) => Promise.reject(blocked(again)));
    }
  };
}

/** Why an object that the inventory names is not ours to delete; undefined if it is. */
function whyNotOurs(live: Manifest, entry: InventoryEntry, { isKnown }: PruneContext): string | undefined {
  // Deleted and made anew by somebody else (E076), or made by somebody before we could: a copy has our label, too.
  if (entry.uid !== live.metadata["uid"] && !isAppliedByUs(live))
    return entry.uid === undefined ? "somebody else has made it" : "somebody has made it anew";
  const bundle = bundleOf(live);
  // Its label was taken off, or says that another fleet has it now (E077).
  if (bundle === undefined) return `the label ${BUNDLE_LABEL} was taken off`;
  if (!isKnown(bundle) && !entry.was?.includes(bundle))
    return `the label ${BUNDLE_LABEL} names the bundle ${bundle}, which is not of this agent`;
  // A controller that has made it its own deletes it when it wants to (E090).
  const controller = controllerOf(live);
  return controller && `it belongs to ${controller}`;
}

function terminating(live: Manifest): PruneResult {
  const finalizers = live.metadata["finalizers"];
  const names = Array.isArray(finalizers) && finalizers.length > 0 ? `; its finalizers are outstanding: ${finalizers.join(", ")}` : "";
  const since = String(live.metadata["deletionTimestamp"]);
  return { outcome: "terminating", why: `being deleted since ${since}${names}`, since };
}

const REFUSALS: ReadonlySet<ErrorCode> = new Set(["KUBE_DENIED", "KUBE_FORBIDDEN", "ACCOUNT_FORBIDDEN", "IMPERSONATION_FORBIDDEN"]);

/** A refusal is the object's, whoever refuses; its words say who. */
function blocked(error: unknown): CodedError {
  const coded = CodedError.from(error);
  return REFUSALS.has(coded.code) ? new CodedError("PRUNE_BLOCKED", coded.message, { cause: coded }) : coded;
}
