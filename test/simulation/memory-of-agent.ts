import type { KeyObject } from "node:crypto";
import { zstdDecompressSync } from "node:zlib";
import { isJsonObject, type Manifest, type Slice } from "@muster/shared/model";
import { decodeSlice } from "@muster/shared/wire";
import { BUILT_IN } from "../../agent/src/kube/testing/memory/kinds.ts";
import type { MemoryApi } from "../../agent/src/kube/testing/memory/memory-api.ts";
import { EMPTY_INVENTORY, type Inventory, parseInventory } from "../../agent/src/plan/inventory.ts";
import { AGENT_NAMESPACE } from "./agent-process.ts";

/** What agents have kept in the cluster, read as a new process would. */
export interface AgentMemory {
  inventory(): Inventory;
  /** undefined: none was kept. */
  slice(): Slice | undefined;
  /** 0: there is none. */
  highWater(): number;
}

export function createAgentMemory(api: MemoryApi, pinned: readonly KeyObject[]): AgentMemory {
  const secrets = BUILT_IN.find(({ kind }) => kind === "Secret");
  const cache = new Map<string, { readonly version: unknown; readonly value: unknown }>();

  function read<T>(name: string, parse: (text: string) => T): T | undefined {
    const secret: Manifest | undefined = secrets && api.store.get(secrets, AGENT_NAMESPACE, `muster-state-${name}`);
    if (!secret) return undefined;
    const version = secret.metadata["resourceVersion"];
    const known = cache.get(name);
    if (known && known.version === version) return known.value as T;
    const data = isJsonObject(secret["data"]) ? secret["data"] : {};
    const value = parse(zstdDecompressSync(Buffer.from(String(data["value"] ?? ""), "base64")).toString());
    cache.set(name, { version, value });
    return value;
  }

  return {
    inventory: () => read("inventory", parseInventory) ?? EMPTY_INVENTORY,
    slice: () => read("slice", (text) => decodeSlice(text, pinned).slice),
    highWater: () => read("high-water", (text) => (JSON.parse(text) as { generation: number }).generation) ?? 0,
  };
}
