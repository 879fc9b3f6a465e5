import {
  BUNDLE_LABEL,
  DriftMode,
  formatObjectRef,
  isJsonObject,
  type Manifest,
  type ObjectRefText,
  objectRefOf,
  parseObjectRef,
  splitApiVersion,
} from "@muster/shared/model";
import type { ManifestLine } from "@muster/shared/wire";
import { hasLegacyOwner } from "../apply/take-over.ts";
import { type Cluster, listEach } from "../kube/cluster.ts";
import type { DiscoveryCache } from "../kube/discovery-cache.ts";
import type { Observer } from "../observe/observer.ts";
import { contentOf } from "../pull/desired-state.ts";
import type { ClusterState } from "./cluster-state.ts";

/** From this many new objects of one type in one namespace on, one list is cheaper than a look at each. */
const LIST_THRESHOLD = 8;

/**
 * Objects that are looked at together, of however many bundles: with a list for each bundle, a namespace that many share would be
 * listed as often; with one for all of them, what it has shown would be old for the last.
 */
const AHEAD = 5_000;

/** Whole objects that are remembered from lists; of those beyond, the applier asks for each. */
const MAX_WHOLE = 1_000;

/** What a look ahead works with. */
export interface LookAheadOptions {
  readonly state: ClusterState;
  readonly observer: Observer;
  readonly discovery: DiscoveryCache;
  readonly cluster: Cluster;
}

/** What stands where objects shall be that this process does not know; for one pass. */
export interface LookAhead {
  /**
   * Of the objects of a bundle, as far as lists have shown it: null for nothing; of what is known to be ours, and will just be
   * applied, only who it is.
   */
  at(bundle: string, needed: readonly ManifestLine[], signal: AbortSignal): Promise<ReadonlyMap<ObjectRefText, Manifest | null>>;
}

export function createLookAhead(options: LookAheadOptions): LookAhead {
  const { state, observer, discovery, cluster } = options;
  const looked = new Map<string, Map<ObjectRefText, Manifest | null>>();

  const isUnknown = ({ ref }: ManifestLine) => state.inventory.entries.get(ref)?.uid === undefined || !observer.get(ref);

  const contentIn = (name: string) => {
    const bundle = state.desired?.slice.bundles.find((one) => one.name === name);
    return bundle && state.desired && contentOf(bundle, state.desired);
  };
  /** What one account may see must not be shown to what works for another: its applier looks itself (E008). */
  const accountOf = (name: string) => contentIn(name)?.options.serviceAccount;

  /** True if more than the identity of an object is looked at although it is ours. */
  function isComparedIn(name: string): (line: ManifestLine) => boolean {
    const options = contentIn(name)?.options;
    if (!options || options.drift.ignore.length > 0 || options.paused) return () => true;
    return ({ ref }) => state.driftModes.of(name, ref) !== DriftMode.Correct;
  }

  /** What this bundle and those after it are to make. */
  function newFrom(name: string, needed: readonly ManifestLine[]): Map<string, readonly ManifestLine[]> {
    const found = new Map([[name, needed.filter(isUnknown)]]);
    let count = found.get(name)?.length ?? 0;
    const bundles = state.desired?.slice.bundles ?? [];
    for (const bundle of bundles.slice(bundles.findIndex((one) => one.name === name) + 1)) {
      if (count >= AHEAD) break;
      if (accountOf(bundle.name)) continue;
      const lines = state.linesOf(bundle.name).filter((line) => !state.isApplied(line) && isUnknown(line));
      found.set(bundle.name, lines);
      count += lines.length;
    }
    return found;
  }

  async function look(name: string, needed: readonly ManifestLine[], signal: AbortSignal): Promise<void> {
    looked.clear();
    const groups = new Map<string, Wanted[]>();
    for (const [bundle, lines] of newFrom(name, needed)) {
      const found = new Map<ObjectRefText, Manifest | null>();
      looked.set(bundle, found);
      const isCompared = isComparedIn(bundle);
      for (const line of lines) {
        const ref = parseObjectRef(line.ref);
        const key = JSON.stringify([ref.group, splitApiVersion(line.head.apiVersion).version, ref.kind, ref.namespace]);
        const group = groups.get(key) ?? [];
        group.push({ line, found, isCompared: isCompared(line) });
        groups.set(key, group);
      }
    }
    for (const group of groups.values()) if (group.length >= LIST_THRESHOLD) await listGroup(group, signal);
  }

  async function listGroup(group: readonly Wanted[], signal: AbortSignal): Promise<void> {
    const [first] = group;
    if (!first) return;
    const ref = parseObjectRef(first.line.ref);
    const open = new Map(group.map((wanted) => [wanted.line.ref, wanted]));
    let whole = 0;
    try {
      const type = await discovery.typeOf(ref, splitApiVersion(first.line.head.apiVersion).version);
      const scope = type.namespaced ? { namespace: ref.namespace } : {};
      const each = (item: Manifest) => {
        const wanted = open.get(formatObjectRef(objectRefOf(item)));
        if (!wanted) return;
        const { found, line, isCompared } = wanted;
        const uid = state.inventory.entries.get(line.ref)?.uid;
        if (!isCompared && uid !== undefined && item.metadata["uid"] === uid && !hasLegacyOwner(item))
          found.set(line.ref, identityOf(item));
        else if (++whole <= MAX_WHOLE) found.set(line.ref, item);
        else found.delete(line.ref);
        seen.add(line.ref);
      };
      const seen = new Set<ObjectRefText>();
      await listEach(cluster, type, scope, each, signal);
      for (const { line, found } of group) if (!seen.has(line.ref)) found.set(line.ref, null);
    } catch {
      // Then each object is looked at by itself, and says itself what is wrong.
      for (const { line, found } of group) found.delete(line.ref);
    }
  }

  return {
    async at(bundle, needed, signal) {
      if (accountOf(bundle)) return new Map();
      if (!looked.has(bundle)) await look(bundle, needed, signal);
      const found = looked.get(bundle) ?? new Map();
      looked.delete(bundle);
      return found;
    },
  };
}

/** An object that is to be, and where what a list shows of it goes. */
interface Wanted {
  readonly line: ManifestLine;
  readonly found: Map<ObjectRefText, Manifest | null>;
  readonly isCompared: boolean;
}

/** An object of which only this is looked at: no value of it stays in memory. */
function identityOf({ apiVersion, kind, metadata }: Manifest): Manifest {
  const { name, namespace, uid, resourceVersion, labels } = metadata;
  const bundle = isJsonObject(labels) ? labels[BUNDLE_LABEL] : undefined;
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace !== undefined && { namespace }),
      ...(uid !== undefined && { uid }),
      ...(resourceVersion !== undefined && { resourceVersion }),
      ...(bundle !== undefined && { labels: { [BUNDLE_LABEL]: bundle } }),
    },
  };
}
