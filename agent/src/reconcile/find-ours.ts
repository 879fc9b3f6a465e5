import { CodedError } from "@muster/shared/errors";
import { BUNDLE_LABEL, FIELD_MANAGER, formatObjectRef, isJsonObject, type Manifest, objectRefOf } from "@muster/shared/model";
import { forEachLimited } from "@muster/shared/runtime";
import { controllerOf } from "../apply/foreign-owner.ts";
import type { Cluster, ResourceType } from "../kube/cluster.ts";
import type { DiscoveryCache } from "../kube/discovery-cache.ts";
import { managedFields } from "../observe/field-set.ts";
import type { InventoryEntry } from "../plan/inventory.ts";
import { PrunePolicy, prunePolicyOf } from "../plan/prune-policy.ts";

/** Lists at once. */
const CONCURRENCY = 4;

/**
 * What looks like ours in the whole cluster, for an agent that has lost its inventory (E096); reads only. Our label alone proves little,
 * for operators and people copy labels: our apply must own fields too. And even then it may be the object of another fleet in the same
 * cluster, so none of it is deleted without a person's word.
 */
export async function findOurs(cluster: Cluster, discovery: DiscoveryCache, signal: AbortSignal): Promise<InventoryEntry[]> {
  const found = await discovery.refresh({ signal });
  const types = found.all.filter(
    (type) => ["list", "delete"].every((verb) => type.verbs.includes(verb)) && found.find(type.group, type.kind)?.version === type.version,
  );
  const entries: InventoryEntry[] = [];
  await forEachLimited(types, CONCURRENCY, async (type) => {
    for (const item of await listMarked(cluster, type, signal)) {
      const entry = entryOf(item);
      if (entry) entries.push(entry);
    }
  });
  return entries;
}

/** What the agent may not look at it may not delete either. */
async function listMarked(cluster: Cluster, type: ResourceType, signal: AbortSignal): Promise<readonly Manifest[]> {
  try {
    return (await cluster.list(type, { labelSelector: BUNDLE_LABEL, metadataOnly: true }, signal)).items;
  } catch (error) {
    const code = CodedError.from(error).code;
    if (code === "KUBE_FORBIDDEN" || code === "KIND_UNAVAILABLE") return [];
    throw error;
  }
}

function entryOf(item: Manifest): InventoryEntry | undefined {
  const { labels, uid } = item.metadata;
  const bundle = isJsonObject(labels) ? labels[BUNDLE_LABEL] : undefined;
  const isApplied = managedFields(item).some((entry) => entry["manager"] === FIELD_MANAGER && entry["operation"] === "Apply");
  if (typeof bundle !== "string" || typeof uid !== "string" || !isApplied || controllerOf(item)) return undefined;
  const orphan = prunePolicyOf(item) === PrunePolicy.Keep;
  return { ref: formatObjectRef(objectRefOf(item)), bundle, uid, found: true, ...(orphan && { orphan: true }) };
}
