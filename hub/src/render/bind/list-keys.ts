import { isJsonObject, type JsonObject, type JsonValue, type Manifest, splitApiVersion } from "@muster/shared/model";

/** Keys by which the API server merges the lists of a pod (listMapKey in the API types), with the key's default. */
const CONTAINER_LISTS: Readonly<Record<string, readonly string[]>> = {
  env: ["name"],
  ports: ["containerPort", "protocol"],
  volumeMounts: ["mountPath"],
  volumeDevices: ["devicePath"],
};
const POD_LISTS: Readonly<Record<string, readonly string[]>> = {
  containers: ["name"],
  initContainers: ["name"],
  ephemeralContainers: ["name"],
  volumes: ["name"],
  imagePullSecrets: ["name"],
  hostAliases: ["ip"],
};
const DEFAULTS: Readonly<Record<string, string>> = { protocol: "TCP" };

/**
 * The JSON pointer of the first list entry whose key another one of its list has too, or undefined. Server-side apply
 * refuses such lists (kubernetes#113482), though a client-side apply took them; found here, it has a file and a path.
 */
export function findDuplicateListKey(manifest: Manifest): string | undefined {
  const { group } = splitApiVersion(manifest.apiVersion);
  if (group === "" && manifest.kind === "Service") return duplicateIn(at(manifest, ["spec", "ports"]), ["port", "protocol"], "/spec/ports");
  const path = podSpecPath(group, manifest.kind);
  const pod = path && at(manifest, path);
  if (!path || !isJsonObject(pod)) return undefined;
  const pointer = `/${path.join("/")}`;
  return duplicateInLists(pod, POD_LISTS, pointer) ?? duplicateInContainers(pod, pointer);
}

function duplicateInContainers(pod: JsonObject, pointer: string): string | undefined {
  for (const field of ["initContainers", "containers", "ephemeralContainers"]) {
    const containers = pod[field];
    if (!Array.isArray(containers)) continue;
    for (const [index, container] of containers.entries()) {
      const found = isJsonObject(container) ? duplicateInLists(container, CONTAINER_LISTS, `${pointer}/${field}/${index}`) : undefined;
      if (found) return found;
    }
  }
  return undefined;
}

function duplicateInLists(owner: JsonObject, lists: Readonly<Record<string, readonly string[]>>, pointer: string): string | undefined {
  for (const [field, keys] of Object.entries(lists)) {
    const found = duplicateIn(owner[field], keys, `${pointer}/${field}`);
    if (found) return found;
  }
  return undefined;
}

function duplicateIn(list: JsonValue | undefined, keys: readonly string[], pointer: string): string | undefined {
  if (!Array.isArray(list) || list.length < 2) return undefined;
  const seen = new Set<string>();
  for (const [index, item] of list.entries()) {
    if (!isJsonObject(item)) continue;
    const key = JSON.stringify(keys.map((name) => item[name] ?? DEFAULTS[name] ?? null));
    if (seen.has(key)) return `${pointer}/${index}`;
    seen.add(key);
  }
  return undefined;
}

function podSpecPath(group: string, kind: string): readonly string[] | undefined {
  if (group === "" && kind === "Pod") return ["spec"];
  if (group === "batch" && kind === "CronJob") return ["spec", "jobTemplate", "spec", "template", "spec"];
  if (group === "" && kind === "PodTemplate") return ["template", "spec"];
  return group === "apps" || group === "batch" || (group === "" && kind === "ReplicationController")
    ? ["spec", "template", "spec"]
    : undefined;
}

function at(value: JsonValue | undefined, path: readonly string[]): JsonValue | undefined {
  let found = value;
  for (const key of path) found = isJsonObject(found) ? found[key] : undefined;
  return found;
}
