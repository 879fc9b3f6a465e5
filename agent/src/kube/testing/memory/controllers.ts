import { isDeepStrictEqual } from "node:util";
import { isJsonObject, type JsonObject, type Manifest, splitApiVersion } from "@muster/shared/model";
import type { ResourceType } from "../../cluster.ts";
import { BUILT_IN, DEFINITION, definedTypes, isEstablished, NAMESPACE } from "./kinds.ts";
import type { MemoryStore } from "./store.ts";

/** Holds a definition until its objects are gone. */
const CLEANUP = "customresourcecleanup.apiextensions.k8s.io";

/** Options of {@link createControllers}. */
export interface ControllerOptions {
  readonly store: MemoryStore;
  readonly later: (work: () => void) => void;
  /** Deployments get a status, and claims a volume. */
  readonly workloads: boolean;
  /** RFC 3339. */
  readonly now: () => string;
}

/** What happens to objects without anybody's request, and at deletions. */
export interface Controllers {
  /** Adds what the server puts into a new object. */
  adorn(type: ResourceType, object: Manifest): void;
  /** After a write; gives the object. */
  written(type: ResourceType, object: Manifest): Manifest;
  /** Deletes, or marks as being deleted; gives what is left. */
  deleted(type: ResourceType, object: Manifest, orphan?: boolean): Manifest | undefined;
  setStatus(type: ResourceType, object: Manifest, status: JsonObject): Manifest;
}

export function createControllers({ store, later, workloads, now }: ControllerOptions): Controllers {
  /** Namespaces and definitions that wait for their objects to go. */
  let collecting = false;

  function collectLater(): void {
    if (collecting) return;
    collecting = true;
    later(() => {
      collecting = false;
      collect();
    });
  }

  function typeOf(object: Manifest): ResourceType | undefined {
    const { group } = splitApiVersion(object.apiVersion);
    const all = [...BUILT_IN, ...store.list(DEFINITION).flatMap(definedTypes)];
    return all.find((type) => type.group === group && type.kind === object.kind);
  }

  function deleteAll(objects: readonly Manifest[]): boolean {
    for (const object of objects) {
      const type = typeOf(object);
      if (type && !object.metadata["deletionTimestamp"]) deleted(type, object);
    }
    return objects.length > 0;
  }

  function collect(): void {
    for (const namespace of store.list(NAMESPACE)) {
      if (!namespace.metadata["deletionTimestamp"]) continue;
      const inside = [...store.all()].filter((object) => object.metadata["namespace"] === namespace.metadata.name);
      deleteAll(inside);
      if (![...store.all()].some((object) => object.metadata["namespace"] === namespace.metadata.name)) remove(NAMESPACE, namespace);
    }
    for (const definition of store.list(DEFINITION)) {
      if (!definition.metadata["deletionTimestamp"]) continue;
      const [type] = definedTypes(definition);
      if (type) deleteAll(store.list(type));
      if (!type || store.list(type).length === 0) remove(DEFINITION, definition);
    }
    collectDependents();
  }

  /** Objects of which every owner is gone. */
  function collectDependents(): void {
    for (const object of [...store.all()]) {
      const owners = object.metadata["ownerReferences"];
      if (!Array.isArray(owners) || owners.length === 0 || object.metadata["deletionTimestamp"]) continue;
      const uids = new Set([...store.all()].map(({ metadata }) => metadata["uid"]));
      const type = typeOf(object);
      if (type && owners.every((owner) => !isJsonObject(owner) || !uids.has(owner["uid"] ?? ""))) deleted(type, object);
    }
  }

  function remove(type: ResourceType, object: Manifest): void {
    store.remove(type, object);
    collectLater();
  }

  function put(type: ResourceType, object: Manifest, metadata: JsonObject, more: JsonObject = {}): Manifest {
    return store.put(type, { ...object, ...more, metadata: { ...object.metadata, ...metadata } } as Manifest);
  }

  /** What the object owns stays, and has no owner any more. */
  function setFree({ metadata }: Manifest): void {
    const isIt = (owner: unknown) => isJsonObject(owner) && owner["uid"] === metadata["uid"];
    for (const object of [...store.all()]) {
      const owners = object.metadata["ownerReferences"];
      const type = typeOf(object);
      if (type && Array.isArray(owners) && owners.some(isIt))
        put(type, object, { ownerReferences: owners.filter((owner) => !isIt(owner)) });
    }
  }

  function deleted(type: ResourceType, object: Manifest, orphan = false): Manifest | undefined {
    if (object.metadata["deletionTimestamp"]) return object;
    if (orphan) setFree(object);
    const isHeld = ((object.metadata["finalizers"] ?? []) as string[]).length > 0 || isNamespace(type);
    if (!isHeld) {
      remove(type, object);
      return undefined;
    }
    const generation = object.metadata["generation"];
    const counted = typeof generation === "number" && { generation: generation + 1 };
    const phase = isNamespace(type) ? { status: { phase: "Terminating" } } : {};
    collectLater();
    return put(type, object, { deletionTimestamp: now(), deletionGracePeriodSeconds: 0, ...counted }, phase);
  }

  function setStatus(type: ResourceType, object: Manifest, status: JsonObject): Manifest {
    const { namespace = "", name } = object.metadata;
    const live = store.get(type, String(namespace), name);
    if (!live || live.metadata["uid"] !== object.metadata["uid"] || isDeepStrictEqual(live["status"], status)) return live ?? object;
    return put(type, live, {}, { status });
  }

  function establish(definition: Manifest): void {
    const condition = (kind: string) => ({ type: kind, status: "True", reason: "NoConflicts", message: "" });
    setStatus(DEFINITION, definition, { conditions: [condition("NamesAccepted"), condition("Established")] });
  }

  function roll(type: ResourceType, { metadata }: Manifest): void {
    const live = store.get(type, String(metadata["namespace"] ?? ""), metadata.name);
    if (!live) return;
    const { replicas = 1 } = live["spec"] as { replicas?: number };
    const counts = { replicas, updatedReplicas: replicas, readyReplicas: replicas, availableReplicas: replicas };
    setStatus(type, live, { observedGeneration: live.metadata["generation"] ?? 1, ...counts });
  }

  return {
    deleted,
    setStatus,
    adorn(type, object) {
      if (isNamespace(type)) {
        object["spec"] = { finalizers: ["kubernetes"] };
        object["status"] = { phase: "Active" };
        const labels = object.metadata["labels"];
        object.metadata["labels"] = { ...(isJsonObject(labels) ? labels : {}), "kubernetes.io/metadata.name": object.metadata.name };
      }
      if (isDefinition(type)) object.metadata["finalizers"] = [CLEANUP];
    },
    written(type, object) {
      const isDone = object.metadata["deletionTimestamp"] && ((object.metadata["finalizers"] ?? []) as string[]).length === 0;
      if (isDone && !isNamespace(type)) remove(type, object);
      if (isDefinition(type) && !isEstablished(object)) later(() => establish(object));
      const isOld = isJsonObject(object["status"]) && object["status"]["observedGeneration"] !== object.metadata["generation"];
      const isNew = object["status"] === undefined;
      if (workloads && type.kind === "Deployment" && (isOld || isNew)) later(() => roll(type, object));
      if (workloads && type.kind === "PersistentVolumeClaim" && isNew) later(() => setStatus(type, object, { phase: "Bound" }));
      return object;
    },
  };
}

const isNamespace = ({ group, kind }: ResourceType) => group === NAMESPACE.group && kind === NAMESPACE.kind;
const isDefinition = ({ group, kind }: ResourceType) => group === DEFINITION.group && kind === DEFINITION.kind;
