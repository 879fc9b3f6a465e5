import { CodedError } from "@muster/shared/errors";
import { BUNDLE_LABEL, FIELD_MANAGER, formatObjectRef, isJsonObject, type Manifest, objectRefOf } from "@muster/shared/model";
import { type Clock, forEachLimited, type Random } from "@muster/shared/runtime";
import { controllerOf } from "../apply/foreign-owner.ts";
import type { Cluster, ListScope, ResourceType } from "../kube/cluster.ts";
import type { DiscoveryCache } from "../kube/discovery-cache.ts";
import { askedDelayMs } from "../kube/map-error.ts";
import { managedFields } from "../observe/field-set.ts";
import type { InventoryEntry } from "../plan/inventory.ts";
import { PrunePolicy, prunePolicyOf } from "../plan/prune-policy.ts";

/** Lists at once. */
const CONCURRENCY = 4;
/** More namespaces than these are not listed one by one, if that can be helped. */
const FEW_NAMESPACES = 3;
/** How often one list is asked for while the API server says that it is asked for too much: to begin all lists anew would be more still. */
const PATIENCE = 10;
/** Answers that say something of one kind only. */
const BROKEN_KIND: ReadonlySet<string> = new Set(["KIND_UNAVAILABLE", "KUBE_NOT_FOUND", "KUBE_SERVER"]);

/** Options of {@link findOurs}. */
export interface FindOursOptions {
  readonly cluster: Cluster;
  readonly discovery: DiscoveryCache;
  readonly where: Where;
  readonly clock: Clock;
  readonly random: Random;
}

/** Where objects of ours are to be looked for. */
export interface Where {
  readonly namespaces: readonly string[];
  /** In other namespaces too, as far as the agent may look there. */
  readonly elsewhere: boolean;
  /** The agent works in no other namespaces: lists of the whole cluster are not for it. */
  readonly isBound: boolean;
  /** Also at kinds that live in no namespace. */
  readonly clusterScoped: boolean;
}

/** What was found, and what could not be looked at. */
export interface FoundObjects {
  readonly entries: readonly InventoryEntry[];
  /** Kinds whose server does not answer now. */
  readonly unseen: readonly string[];
}

/**
 * What looks like ours in the cluster, for an agent that has no inventory (E096); reads only. Our label alone proves little, for operators
 * and people copy labels: our apply must own fields too. And even then it may be the object of another fleet in the same cluster, so none
 * of it is deleted without a person's word. One kind that cannot be listed holds up nothing: its objects are not found, nor are they lost.
 */
export async function findOurs(options: FindOursOptions, signal: AbortSignal): Promise<FoundObjects> {
  const found = await options.discovery.refresh({ signal });
  const types = found.all.filter(
    (type) =>
      ["list", "delete"].every((verb) => type.verbs.includes(verb)) &&
      found.find(type.group, type.kind)?.version === type.version &&
      (type.namespaced || options.where.clusterScoped),
  );
  const entries: InventoryEntry[] = [];
  const unseen: string[] = [];
  const list = createLister(options, signal);
  await forEachLimited(types, CONCURRENCY, async (type) => {
    const items = await list(type);
    if (!items) unseen.push(type.kind);
    entries.push(...(items ?? []).flatMap((item) => entryOf(item) ?? []));
  });
  return { entries, unseen: unseen.sort() };
}

/** Lists types; undefined: the server of the type does not answer. What the agent may not look at it may not delete either. */
function createLister(
  { cluster, where, clock, random }: FindOursOptions,
  signal: AbortSignal,
): (type: ResourceType) => Promise<Manifest[] | undefined> {
  const rights = new Map<string, Promise<(type: ResourceType) => boolean>>();
  const mayList = async (namespace: string, type: ResourceType): Promise<boolean> => {
    const known = rights.get(namespace) ?? cluster.mayList?.(namespace, signal) ?? Promise.resolve(() => true);
    rights.set(namespace, known);
    return (await known)(type);
  };
  const isThere = ({ metadata }: Manifest) => where.namespaces.includes(String(metadata["namespace"]));
  const list = async (type: ResourceType, scope: ListScope): Promise<readonly Manifest[] | undefined> => {
    for (let tries = 1; ; tries++) {
      try {
        return (await cluster.list(type, { ...scope, labelSelector: BUNDLE_LABEL, metadataOnly: true }, signal)).items;
      } catch (error) {
        const coded = CodedError.from(error);
        if (coded.code === "KUBE_FORBIDDEN") return undefined;
        if (coded.code !== "KUBE_THROTTLED" || isOfOneKind(coded) || tries >= PATIENCE) throw error;
        await clock.sleep(Math.max(askedDelayMs(coded, random), 100), signal);
      }
    }
  };
  return async (type) => {
    try {
      const atOnce = !type.namespaced || where.elsewhere || (!where.isBound && where.namespaces.length > FEW_NAMESPACES);
      const all = atOnce ? await list(type, {}) : undefined;
      if (all || !type.namespaced) return (all ?? []).filter((item) => !type.namespaced || where.elsewhere || isThere(item));
      const items: Manifest[] = [];
      for (const namespace of where.namespaces)
        if (await mayList(namespace, type)) items.push(...((await list(type, { namespace })) ?? []));
      return items;
    } catch (error) {
      if (isOfOneKind(CodedError.from(error))) return undefined;
      throw error;
    }
  };
}

/** An aggregated API or a conversion webhook that is down; the latter is answered as “too many requests” once lists come from a cache. */
function isOfOneKind({ code, message }: CodedError): boolean {
  return BROKEN_KIND.has(code) || (code === "KUBE_THROTTLED" && message.includes("storage is (re)initializing"));
}

function entryOf(item: Manifest): InventoryEntry | undefined {
  const { labels, uid } = item.metadata;
  const bundle = isJsonObject(labels) ? labels[BUNDLE_LABEL] : undefined;
  const isApplied = managedFields(item).some((entry) => entry["manager"] === FIELD_MANAGER && entry["operation"] === "Apply");
  if (typeof bundle !== "string" || typeof uid !== "string" || !isApplied || controllerOf(item)) return undefined;
  const orphan = prunePolicyOf(item) === PrunePolicy.Keep;
  return { ref: formatObjectRef(objectRefOf(item)), bundle, uid, found: true, ...(orphan && { orphan: true }) };
}
