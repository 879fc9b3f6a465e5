import { CodedError } from "@muster/shared/errors";
import { describeObjectRef, isJsonObject, type JsonObject, type Manifest, type ObjectRef, objectRefOf } from "@muster/shared/model";
import { forEachLimited } from "@muster/shared/runtime";
import type { Cluster, Discovery, ResourceType } from "../kube/cluster.ts";
import type { DiscoveryCache } from "../kube/discovery-cache.ts";

/** What a guard works with. */
export interface GuardOptions {
  readonly cluster: Cluster;
  readonly discovery: DiscoveryCache;
  /** True for an object that is being deleted in the same pass: it left Git too, and nobody has to be asked for it. */
  readonly leaves: (ref: ObjectRef) => boolean;
}

/** How many objects in the way are named. */
const SAMPLE = 5;

/** Somebody has to act: looking takes a list of many kinds, so it is not repeated like an ordinary attempt. */
const LOOK_AGAIN_MS = 300_000;

/** Lists at once. */
const CONCURRENCY = 4;

/** What a cluster puts into every namespace, or notes there about other objects: nobody's work is lost with it. */
const BY_THE_CLUSTER = new Set(["/ServiceAccount/default", "/ConfigMap/kube-root-ca.crt", "/ConfigMap/openshift-service-ca.crt"]);
const NOTES = new Set(["/Event", "events.k8s.io/Event", "coordination.k8s.io/Lease", "/Endpoints"]);

/**
 * A deletion that would take along what nobody has approved to delete is refused: a Namespace with objects that are not going with it
 * (E084), a CustomResourceDefinition of which there are objects anywhere (E086). Throws PRUNE_BLOCKED, or PRUNE_WAITING while just what
 * leaves Git too is on its way. An object that is made right after the look is not seen; there is no precondition for that.
 */
export async function refuseUnsafeDeletion(live: Manifest, options: GuardOptions, signal: AbortSignal): Promise<void> {
  const { group, kind } = objectRefOf(live);
  if (group === "" && kind === "Namespace") await refuseInhabited(live, options, signal);
  if (group === "apiextensions.k8s.io" && kind === "CustomResourceDefinition") await refuseInstances(live, options, signal);
}

async function refuseInhabited(live: Manifest, options: GuardOptions, signal: AbortSignal): Promise<void> {
  const namespace = live.metadata.name;
  const found = await options.discovery.refresh({ signal });
  const [failed] = found.failedGroups;
  // What cannot be asked proves nothing (E006).
  if (failed !== undefined)
    throw new CodedError("PRUNE_BLOCKED", `Namespace ${namespace}: what is in it cannot be told, the API group ${failed} does not answer`);
  const inside: ObjectRef[] = [];
  await forEachLimited(found.all.filter(isContent(found)), CONCURRENCY, async (type) => {
    const { items } = await options.cluster.list(type, { namespace, metadataOnly: true }, signal);
    for (const item of items) if (!isSideEffect(item, type, found)) inside.push(objectRefOf(item));
  });
  refuse(inside, options, {
    what: `Namespace ${namespace}`,
    others: "that do not leave with it",
    hint: "remove them, or set the annotation muster.dev/prune: cascade on the Namespace to delete it with all that is in it",
  });
}

/** Kinds whose objects are somebody's; each in one version. */
function isContent(found: Discovery): (type: ResourceType) => boolean {
  return (type) =>
    type.namespaced &&
    ["list", "delete"].every((verb) => type.verbs.includes(verb)) &&
    !NOTES.has(`${type.group}/${type.kind}`) &&
    found.find(type.group, type.kind)?.version === type.version;
}

/** An object that the cluster has made, or that goes with its owner: an owner that lives in a namespace lives in the same one. */
function isSideEffect(item: Manifest, type: ResourceType, found: Discovery): boolean {
  if (BY_THE_CLUSTER.has(`${type.group}/${type.kind}/${item.metadata.name}`)) return true;
  const { ownerReferences: owners, annotations } = item.metadata;
  // A token of the ServiceAccount that every namespace has.
  if (isJsonObject(annotations) && annotations["kubernetes.io/service-account.name"] === "default") return true;
  return Array.isArray(owners) && owners.filter(isJsonObject).some((owner) => ownerType(owner, found)?.namespaced === true);
}

function ownerType(owner: JsonObject, found: Discovery): ResourceType | undefined {
  const apiVersion = String(owner["apiVersion"] ?? "");
  const group = apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
  return found.find(group, String(owner["kind"] ?? ""));
}

async function refuseInstances(live: Manifest, options: GuardOptions, signal: AbortSignal): Promise<void> {
  const what = `CustomResourceDefinition ${live.metadata.name}`;
  const type = servedType(live);
  if (!type)
    throw new CodedError("PRUNE_BLOCKED", `${what}: no version of it is served, so nobody can tell whether there are objects of it`);
  const { items } = await options.cluster.list(type, { metadataOnly: true }, signal);
  refuse(items.map(objectRefOf), options, { what, others: "of its kind", hint: "deleting it would delete them; delete them first" });
}

/** The kind that a definition defines, in a version that is served. */
function servedType({ spec }: Manifest): ResourceType | undefined {
  const { names, versions, group, scope } = isJsonObject(spec) ? spec : {};
  const served = (Array.isArray(versions) ? versions : []).filter(isJsonObject).find((version) => version["served"] === true);
  if (!isJsonObject(names) || !served) return undefined;
  const text = (value: unknown) => String(value ?? "");
  return {
    group: text(group),
    version: text(served["name"]),
    kind: text(names["kind"]),
    plural: text(names["plural"]),
    namespaced: scope === "Namespaced",
    verbs: ["list"],
  };
}

function refuse(found: readonly ObjectRef[], { leaves }: GuardOptions, words: { what: string; others: string; hint: string }): void {
  const staying = found.filter((ref) => !leaves(ref));
  if (staying.length > 0) {
    throw new CodedError("PRUNE_BLOCKED", `${words.what} has ${countOf(staying)} ${words.others}: ${namesOf(staying)}; ${words.hint}`, {
      data: { retryAfterMs: LOOK_AGAIN_MS },
    });
  }
  if (found.length > 0) throw new CodedError("PRUNE_WAITING", `${words.what} waits until ${countOf(found)} are gone: ${namesOf(found)}`);
}

function countOf(refs: readonly ObjectRef[]): string {
  return refs.length === 1 ? "1 object" : `${refs.length} objects`;
}

function namesOf(refs: readonly ObjectRef[]): string {
  const names = refs.map(describeObjectRef).sort();
  const more = names.length - SAMPLE;
  return `${names.slice(0, SAMPLE).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
