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
import type { Clock } from "@muster/shared/runtime";
import type { ManifestLine } from "@muster/shared/wire";
import { hasLegacyOwner } from "../apply/take-over.ts";
import { type Cluster, listEach } from "../kube/cluster.ts";
import type { DiscoveryCache } from "../kube/discovery-cache.ts";
import { rulesFor } from "../observe/ignore-rules.ts";
import type { Observer } from "../observe/observer.ts";
import { contentOf } from "../pull/desired-state.ts";
import type { ClusterState } from "./cluster-state.ts";

/** From this many new objects of one type in one namespace on, one list is cheaper than a look at each. */
const LIST_THRESHOLD = 8;

/**
 * Objects of bundles to come that one list also looks for, where they are of the same type in the same namespace. With a list for
 * each bundle, a namespace that many share would be listed as often; beyond this, what it has shown would be old for the last.
 */
const AHEAD = 5_000;

/** Milliseconds for which a list says what is there: later, somebody else may have made what it has not shown. */
const FRESH_MS = 5_000;

/** Whole objects that are remembered from lists; of those beyond, the applier asks for each. */
const MAX_WHOLE = 1_000;

/** What a look ahead works with. */
export interface LookAheadOptions {
  readonly state: ClusterState;
  readonly observer: Observer;
  readonly discovery: DiscoveryCache;
  readonly cluster: Cluster;
  readonly clock: Clock;
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
  const { state, observer, discovery, cluster, clock } = options;
  /** By type and namespace, what was looked for and not asked for yet; undefined: it is there, and too much to remember. */
  const shown = new Map<string, { readonly atMs: number; readonly found: Map<ObjectRefText, Manifest | null | undefined> }>();

  const isUnknown = ({ ref }: ManifestLine) => state.inventory.entries.get(ref)?.uid === undefined || !observer.get(ref);

  const contentIn = (name: string) => {
    const bundle = state.desired?.slice.bundles.find((one) => one.name === name);
    return bundle && state.desired && contentOf(bundle, state.desired);
  };
  /** What one account may see must not be shown to what works for another (E008). */
  const accountOf = (name: string) => contentIn(name)?.options.serviceAccount;

  /** True if more than the identity of an object is looked at although it is ours. */
  function isComparedIn(name: string): (line: ManifestLine) => boolean {
    const options = contentIn(name)?.options;
    if (!options || options.paused) return () => true;
    return ({ ref, head }) => state.driftModes.of(name, ref) !== DriftMode.Correct || rulesFor(head, options.drift.ignore).length > 0;
  }

  /** What bundles after this one are to make in the same place. */
  function* toCome(name: string, key: string): Generator<Wanted> {
    const bundles = state.desired?.slice.bundles ?? [];
    let room = AHEAD;
    for (const bundle of bundles.slice(bundles.findIndex((one) => one.name === name) + 1)) {
      if (accountOf(bundle.name)) continue;
      const isCompared = isComparedIn(bundle.name);
      for (const line of state.linesOf(bundle.name)) {
        if (--room < 0) return;
        if (!state.isApplied(line) && isUnknown(line) && keyOf(line) === key) yield { line, isCompared: isCompared(line) };
      }
    }
  }

  /** Lists one type in one namespace. Empty, if that cannot be: then each object is looked at by itself, and says what is wrong. */
  async function list(
    wanted: readonly Wanted[],
    inName: Cluster,
    signal: AbortSignal,
  ): Promise<Map<ObjectRefText, Manifest | null | undefined>> {
    const [first] = wanted;
    if (!first) return new Map();
    const found = new Map<ObjectRefText, Manifest | null | undefined>();
    const compared = new Set(wanted.flatMap(({ line, isCompared }) => (isCompared ? [line.ref] : [])));
    const ref = parseObjectRef(first.line.ref);
    let whole = 0;
    /** Also when the list begins anew: what it has shown may be gone. */
    const begin = () => {
      whole = 0;
      for (const { line } of wanted) found.set(line.ref, null);
    };
    const see = (item: Manifest) => {
      const text = formatObjectRef(objectRefOf(item));
      if (!found.has(text)) return;
      const uid = state.inventory.entries.get(text)?.uid;
      const isOurs = uid !== undefined && item.metadata["uid"] === uid && !hasLegacyOwner(item);
      if (isOurs && !compared.has(text)) found.set(text, identityOf(item));
      else found.set(text, ++whole <= MAX_WHOLE ? item : undefined);
    };
    try {
      const type = await discovery.typeOf(ref, splitApiVersion(first.line.head.apiVersion).version);
      begin();
      await listEach(inName, type, { ...(type.namespaced && { namespace: ref.namespace }), onRestart: begin }, see, signal);
      return found;
    } catch {
      return new Map();
    }
  }

  return {
    async at(bundle, needed, signal) {
      const account = accountOf(bundle);
      const inName = account ? cluster.as(account) : cluster;
      const found = new Map<ObjectRefText, Manifest | null>();
      const isCompared = isComparedIn(bundle);
      for (const [key, lines] of groupsOf(needed.filter(isUnknown))) {
        const earlier = account ? undefined : shown.get(key);
        const isFresh = earlier !== undefined && clock.monotonicMs() - earlier.atMs < FRESH_MS;
        let known = isFresh ? earlier.found : undefined;
        if (!known || !lines.every((line) => known?.has(line.ref))) {
          if (lines.length < LIST_THRESHOLD) continue;
          const mine = lines.map((line) => ({ line, isCompared: isCompared(line) }));
          const atMs = clock.monotonicMs();
          known = await list(account ? mine : [...mine, ...toCome(bundle, key)], inName, signal);
          if (!account) shown.set(key, { atMs, found: known });
        }
        for (const { ref } of lines) {
          const live = known.get(ref);
          if (live !== undefined) found.set(ref, live);
          known.delete(ref);
        }
      }
      return found;
    },
  };
}

/** An object that is to be. */
interface Wanted {
  readonly line: ManifestLine;
  /** More than its identity is looked at although it is ours. */
  readonly isCompared: boolean;
}

function groupsOf(lines: readonly ManifestLine[]): ReadonlyMap<string, readonly ManifestLine[]> {
  const groups = new Map<string, ManifestLine[]>();
  for (const line of lines) {
    const key = keyOf(line);
    const group = groups.get(key) ?? [];
    group.push(line);
    groups.set(key, group);
  }
  return groups;
}

/** Objects with the same key are in one list. */
function keyOf({ ref, head }: ManifestLine): string {
  const { group, kind, namespace } = parseObjectRef(ref);
  return JSON.stringify([group, splitApiVersion(head.apiVersion).version, kind, namespace]);
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
