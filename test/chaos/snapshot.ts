import { zstdDecompressSync } from "node:zlib";
import { BUNDLE_LABEL, formatObjectRef, type Manifest, type ObjectRefText, objectRefOf } from "@muster/shared/model";
import { decodeSlice } from "@muster/shared/wire";
import { EMPTY_INVENTORY, parseInventory } from "../../agent/src/plan/inventory.ts";
import type { SliceMaker } from "../../agent/src/pull/testing/slice-maker.ts";
import type { AdminClient } from "../rig/kube-apiserver.ts";
import type { LiveObject, Snapshot } from "./judge.ts";

/** What is looked at: every object of a lane of every kind that chaos has in Git. */
export interface Scope {
  readonly admin: AdminClient;
  /** Prefix of its namespaces, and of the names of what lives in none. */
  readonly lane: string;
  readonly stateNamespace: string;
  readonly maker: SliceMaker;
}

const RESOURCES = [
  ["v1", "ConfigMap", "/api/v1/configmaps"],
  ["v1", "Secret", "/api/v1/secrets"],
  ["apps/v1", "Deployment", "/apis/apps/v1/deployments"],
  ["rbac.authorization.k8s.io/v1", "ClusterRole", "/apis/rbac.authorization.k8s.io/v1/clusterroles"],
  ["apiextensions.k8s.io/v1", "CustomResourceDefinition", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"],
] as const;

/** First what lives, then what the agent remembers: the other way round an object that is made in between would seem forgotten. */
export async function takeSnapshot(scope: Scope): Promise<Snapshot> {
  const { admin, lane } = scope;
  const list = async (apiVersion: string, kind: string, path: string): Promise<Manifest[]> => {
    const answer = await admin.get<{ items: Manifest[] }>(`${path}?labelSelector=${BUNDLE_LABEL}`);
    return (answer?.items ?? []).map((item) => ({ ...item, apiVersion, kind }));
  };
  const lists = await Promise.all(RESOURCES.map(([apiVersion, kind, path]) => list(apiVersion, kind, path)));
  const group = `${lane}.chaos.example.com`;
  const custom = await Promise.all(
    ["Widget", "Gadget"].map((kind) => list(`${group}/v1`, kind, `/apis/${group}/v1/${kind.toLowerCase()}s`)),
  );
  const live = new Map<ObjectRefText, LiveObject>();
  for (const manifest of [...lists, ...custom].flat()) {
    const ref = objectRefOf(manifest);
    const mine =
      ref.namespace === "" ? ref.name.startsWith(`${lane}-`) || ref.name.endsWith(`.${group}`) : ref.namespace.startsWith(`${lane}-`);
    if (!mine) continue;
    const { uid, resourceVersion, deletionTimestamp } = manifest.metadata;
    const identity = { uid: String(uid), resourceVersion: String(resourceVersion) };
    live.set(formatObjectRef(ref), { ...identity, terminating: deletionTimestamp !== undefined, manifest });
  }
  return { live, ...(await readMemory(scope)) };
}

async function readMemory({ admin, stateNamespace, maker }: Scope): Promise<Omit<Snapshot, "live">> {
  const read = async (name: string): Promise<string | undefined> => {
    const path = `/api/v1/namespaces/${stateNamespace}/secrets/muster-state-${name}`;
    const secret = await admin.get<{ data: Record<string, string> }>(path);
    return secret && zstdDecompressSync(Buffer.from(secret.data["value"] ?? "", "base64")).toString();
  };
  const [inventory, slice, mark] = await Promise.all([read("inventory"), read("slice"), read("high-water")]);
  return {
    inventory: inventory === undefined ? EMPTY_INVENTORY : parseInventory(inventory),
    generation: {
      slice: slice === undefined ? 0 : decodeSlice(slice, [maker.publicKey]).slice.generation,
      highWater: mark === undefined ? 0 : (JSON.parse(mark) as { generation: number }).generation,
    },
  };
}
