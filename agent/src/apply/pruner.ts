import { CodedError } from "@muster/shared/errors";
import { BUNDLE_LABEL, describeObjectRef, isJsonObject, type Manifest, type ObjectRef, parseObjectRef } from "@muster/shared/model";
import type { Cluster, ResourceType } from "../kube/cluster.ts";
import type { DiscoveryCache } from "../kube/discovery-cache.ts";
import { isDefined } from "../kube/is-defined.ts";
import { isUnserved } from "../kube/map-error.ts";
import type { Observer } from "../observe/observer.ts";
import type { InventoryEntry } from "../plan/inventory.ts";

/** `gone`: confirmed. `terminating`: asked for, finalizers are outstanding. `released`: it turned out not to be ours. */
export type PruneOutcome = "gone" | "terminating" | "released";

/** Options of {@link createPruner}. */
export interface PrunerOptions {
  readonly cluster: Cluster;
  readonly discovery: DiscoveryCache;
  readonly observer: Observer;
}

/**
 * Deletes one object that left Git. Throws PRUNE_BLOCKED or KUBE_*; then the entry stays in the inventory. `isWanted` tells
 * whether the slice has an object of that group, kind and name in whatever namespace: of kinds without namespaces there is only one.
 */
export type Pruner = (entry: InventoryEntry, isWanted: (ref: ObjectRef) => boolean, signal: AbortSignal) => Promise<PruneOutcome>;

export function createPruner(options: PrunerOptions): Pruner {
  const { cluster, discovery, observer } = options;

  const prune: Pruner = async (entry, isWanted, signal) => {
    const ref = parseObjectRef(entry.ref);
    const type = await typeOf(ref, signal);
    if (!type) return "gone";
    if (!type.namespaced && isWanted(ref)) return "released";
    const live = await cluster.get(type, ref.namespace, ref.name, signal);
    if (!live) return "gone";
    const uid = String(live.metadata["uid"] ?? "");
    // Deleted and made anew by somebody else, or no longer marked as ours: not ours to delete (E076, E077).
    if ((entry.uid !== undefined && entry.uid !== uid) || !isMarked(live)) return "released";
    if (live.metadata["deletionTimestamp"]) return "terminating";
    observer.forget(entry.ref);
    const left = await cluster.delete(type, ref.namespace, ref.name, { uid, signal }).catch((error: unknown) => {
      const coded = CodedError.from(error);
      const blocked = coded.code === "KUBE_DENIED" || coded.code === "KUBE_FORBIDDEN";
      throw blocked ? new CodedError("PRUNE_BLOCKED", coded.message, { cause: coded }) : coded;
    });
    return left ? "terminating" : "gone";
  };

  /** undefined: the kind is gone, and with it every object of it (E087). What cannot be asked proves nothing (E006). */
  async function typeOf(ref: ObjectRef, signal: AbortSignal): Promise<ResourceType | undefined> {
    const known = (await discovery.current(signal)).find(ref.group, ref.kind);
    if (known) return known;
    const fresh = await discovery.refresh({ signal });
    const found = fresh.find(ref.group, ref.kind);
    if (found) return found;
    if (fresh.failedGroups.has(ref.group))
      throw new CodedError("PRUNE_BLOCKED", `${describeObjectRef(ref)}: the API group ${ref.group} does not answer`);
    if (await isDefined(cluster, fresh, ref, signal))
      throw new CodedError("PRUNE_BLOCKED", `${describeObjectRef(ref)}: its kind is defined but not served`);
    return undefined;
  }

  return async (entry, isWanted, signal) => {
    try {
      return await prune(entry, isWanted, signal);
    } catch (error) {
      if (!isUnserved(error)) throw error;
      // The definition has changed since discovery was asked, or is gone.
      await discovery.refresh({ signal });
      return prune(entry, isWanted, signal);
    }
  };
}

function isMarked(live: Manifest): boolean {
  const labels = live.metadata["labels"];
  return isJsonObject(labels) && labels[BUNDLE_LABEL] !== undefined;
}
