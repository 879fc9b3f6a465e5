import { createHash } from "node:crypto";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { CodedError, type ErrorCode } from "@muster/shared/errors";
import { isJsonObject, type Manifest } from "@muster/shared/model";
import type { AgentFailpoint } from "../failpoints.ts";
import type { Cluster, ResourceType } from "../kube/cluster.ts";

/** Bytes of one Secret at most; the API server takes 1 MiB, base64 and metadata included in its own way. */
const SHARD_BYTES = 700 * 1024;

const SECRETS: ResourceType = {
  group: "",
  version: "v1",
  kind: "Secret",
  plural: "secrets",
  namespaced: true,
  verbs: ["get", "list", "create", "update", "delete"],
};

/** Label on everything the agent keeps for itself. */
const STATE_LABEL = "muster.dev/state";

/**
 * Small named values in the agent's own namespace, each in one Secret, or in several with a root that is switched last: a
 * crash leaves the old value or the new one, never a half. Secrets, because manifests may hold some.
 *
 * What somebody else has written since this process looked is not written over: of two agents that both take themselves for the writer,
 * the one that comes later hears of it.
 */
export interface StateStore {
  /** undefined if it was never written. Throws AGENT_STATE_CORRUPT if it is damaged, AGENT_STATE if it cannot be read. */
  read(name: string): Promise<Buffer | undefined>;
  /** Throws AGENT_STATE_CONFLICT if somebody else has written it since; what is there now has been looked at then, and the next try stands. */
  write(name: string, value: Uint8Array): Promise<void>;
  /** Names of all values. The first call also removes what a crash in the middle of a write has left behind. */
  names(): Promise<string[]>;
  remove(name: string): Promise<void>;
  /** Names of values that this store has read or written and somebody else has deleted, in whole or in part. The next write of one is made. */
  missing(): Promise<string[]>;
  /** What was written may have been put back to what it was before: every next write is made. */
  distrust(): void;
}

interface Root {
  /** SHA-256 of the value. */
  readonly digest: string;
  /** Secrets that hold the compressed value; none if the root does itself. */
  readonly shards: readonly string[];
}

/** Options of {@link createStateStore}. */
export interface StateStoreOptions {
  readonly cluster: Cluster;
  readonly namespace: string;
  /** Default: none. */
  readonly failpoint?: AgentFailpoint;
}

export function createStateStore(options: StateStoreOptions): StateStore {
  const { cluster, namespace, failpoint = () => {} } = options;
  const known = new Map<string, Root>();
  /** Per value, the resourceVersion of its root when this process looked last; null: it was not there. */
  const versions = new Map<string, string | null>();
  /** Digests that were sent; of one whose answer was lost nobody knows whether it was written. */
  const sent = new Map<string, string>();
  /** All names, once they were listed. */
  let listed: Set<string> | undefined;
  const secretName = (name: string) => `muster-state-${name}`;
  const failed = (what: string, cause: unknown) =>
    new CodedError("AGENT_STATE", `Cannot ${what} the agent's state in namespace ${namespace}: ${CodedError.from(cause).message}`, {
      cause,
    });

  function secretOf(name: string, data: Record<string, Buffer>, kind: "root" | "shard"): Manifest {
    return {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: secretName(name), namespace, labels: { [STATE_LABEL]: kind, "app.kubernetes.io/managed-by": "muster-agent" } },
      type: "muster.dev/state",
      data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, value.toString("base64")])),
    };
  }

  /** Whatever is there: of what was never looked at, and of parts, whose name says what they hold. */
  async function put(secret: Manifest, isKnown: boolean): Promise<Manifest> {
    try {
      if (isKnown) return await cluster.replace(SECRETS, secret);
    } catch (error) {
      if (!hasCode(error, "KUBE_NOT_FOUND")) throw error;
    }
    try {
      return await cluster.create(SECRETS, secret);
    } catch (error) {
      if (!hasCode(error, "KUBE_CONFLICT")) throw error;
      return cluster.replace(SECRETS, secret);
    }
  }

  /** Only if it is as this process saw it last. Throws KUBE_CONFLICT if it is not. */
  async function exchange(secret: Manifest, version: string | null): Promise<Manifest> {
    if (version === null) return cluster.create(SECRETS, secret);
    try {
      return await cluster.replace(SECRETS, { ...secret, metadata: { ...secret.metadata, resourceVersion: version } });
    } catch (error) {
      // Somebody has deleted it.
      if (!hasCode(error, "KUBE_NOT_FOUND")) throw error;
      return cluster.create(SECRETS, secret);
    }
  }

  async function putRoot(name: string, secret: Manifest): Promise<void> {
    const version = versions.get(name);
    const stored = version === undefined ? await put(secret, known.has(name)) : await exchange(secret, version);
    versions.set(name, String(stored.metadata["resourceVersion"]));
  }

  /** After a conflict: gives true if it was this process that wrote what is there, in a try whose answer was lost. */
  async function isOurs(name: string, written: string | undefined): Promise<boolean> {
    const there = await get(name);
    const root = there && rootOf(there);
    if (root) known.set(name, root);
    else known.delete(name);
    return written !== undefined && root?.digest === written;
  }

  async function writeRoot(name: string, root: Root, data: Record<string, Buffer>): Promise<void> {
    const secret = secretOf(name, data, "root");
    const sentBefore = sent.get(name);
    sent.set(name, root.digest);
    try {
      await putRoot(name, secret);
    } catch (error) {
      if (!hasCode(error, "KUBE_CONFLICT")) throw failed("write", error);
      if (!(await isOurs(name, sentBefore))) {
        const message = `Somebody else has written the agent's state ${name} in namespace ${namespace} since this agent looked at it`;
        throw new CodedError("AGENT_STATE_CONFLICT", message, { cause: error });
      }
      await putRoot(name, secret).catch((thrown: unknown) => Promise.reject(failed("write", thrown)));
    }
  }

  async function get(name: string): Promise<Record<string, Buffer> | undefined> {
    try {
      const secret = await cluster.get(SECRETS, namespace, secretName(name));
      versions.set(name, secret ? String(secret.metadata["resourceVersion"]) : null);
      if (!secret) return undefined;
      return Object.fromEntries(
        Object.entries((secret["data"] ?? {}) as Record<string, string>).map(([key, value]) => [key, Buffer.from(value, "base64")]),
      );
    } catch (error) {
      throw failed("read", error);
    }
  }

  async function drop(name: string): Promise<void> {
    failpoint("agent.beforeStateDrop");
    const secret = await cluster.get(SECRETS, namespace, secretName(name)).catch(() => undefined);
    if (secret) await cluster.delete(SECRETS, namespace, secretName(name), { uid: String(secret.metadata["uid"]) }).catch(() => undefined);
  }

  return {
    async read(name) {
      const secret = await get(name);
      if (!secret) return undefined;
      const corrupt = (cause?: unknown) =>
        new CodedError("AGENT_STATE_CORRUPT", `The agent's state ${name} in namespace ${namespace} is damaged`, { cause });
      try {
        const root = rootOf(secret);
        if (!root) throw corrupt();
        const parts =
          root.shards.length === 0 ? [secret["value"]] : await Promise.all(root.shards.map(async (shard) => (await get(shard))?.["value"]));
        if (parts.some((part) => part === undefined)) throw corrupt();
        const value = zstdDecompressSync(Buffer.concat(parts as Buffer[]));
        if (digestOf(value) !== root.digest) throw corrupt();
        known.set(name, root);
        return value;
      } catch (error) {
        // A damaged value is written over by the next good one.
        known.set(name, { digest: "", shards: [] });
        throw error instanceof CodedError ? error : corrupt(error);
      }
    },
    async write(name, value) {
      const digest = digestOf(value);
      const before = known.get(name);
      if (before?.digest === digest) return;
      failpoint("agent.beforeStateWrite");
      const compressed = zstdCompressSync(value);
      const shards: string[] = [];
      if (compressed.length > SHARD_BYTES) {
        for (let at = 0; at < compressed.length; at += SHARD_BYTES) {
          const shard = `${name}-${digest.slice(0, 12)}-${shards.length}`;
          const part = secretOf(shard, { value: compressed.subarray(at, at + SHARD_BYTES) }, "shard");
          await put(part, true).catch((thrown: unknown) => Promise.reject(failed("write", thrown)));
          failpoint("agent.afterShardWrite");
          shards.push(shard);
        }
      }
      const root: Root = { digest, shards };
      const rootBytes = Buffer.from(JSON.stringify(root));
      await writeRoot(name, root, shards.length === 0 ? { root: rootBytes, value: compressed } : { root: rootBytes });
      failpoint("agent.afterStateWrite");
      known.set(name, root);
      listed?.add(name);
      for (const shard of before?.shards ?? []) if (!shards.includes(shard)) await drop(shard);
    },
    async names() {
      if (listed) return [...listed];
      try {
        // Not their content, which is all that the agent keeps.
        const { items } = await cluster.list(SECRETS, { namespace, labelSelector: STATE_LABEL, metadataOnly: true });
        const names = new Set<string>();
        const used = new Set<string>();
        const shards: string[] = [];
        for (const item of items) {
          const name = item.metadata.name.replace(/^muster-state-/, "");
          if (!isRoot(item)) {
            shards.push(name);
            continue;
          }
          names.add(name);
          // Without a digest, the next write of it is not taken for one that was made already.
          const root = known.get(name) ?? { digest: "", shards: shardsOf(await get(name)) };
          known.set(name, root);
          for (const shard of root.shards) used.add(shard);
        }
        for (const shard of shards) if (!used.has(shard)) await drop(shard);
        listed = names;
        return [...names];
      } catch (error) {
        throw failed("list", error);
      }
    },
    async missing() {
      try {
        const { items } = await cluster.list(SECRETS, { namespace, labelSelector: STATE_LABEL, metadataOnly: true });
        const there = new Set(items.map((item) => item.metadata.name));
        const gone: string[] = [];
        for (const [name, { digest, shards }] of known) {
          if (digest === "" || [name, ...shards].every((part) => there.has(secretName(part)))) continue;
          const left = shards.filter((shard) => there.has(secretName(shard)));
          if (left.length > 0 || there.has(secretName(name))) known.set(name, { digest: "", shards: left });
          else known.delete(name);
          if (!there.has(secretName(name))) versions.set(name, null);
          gone.push(name);
        }
        return gone;
      } catch (error) {
        throw failed("list", error);
      }
    },
    distrust() {
      for (const [name, { shards }] of known) known.set(name, { digest: "", shards });
      // They are of a history that is not the cluster's any more.
      versions.clear();
    },
    async remove(name) {
      const shards = known.get(name)?.shards ?? [];
      for (const memory of [known, versions, sent]) memory.delete(name);
      listed?.delete(name);
      await drop(name);
      for (const shard of shards) await drop(shard);
    },
  };
}

function hasCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof CodedError && error.code === code;
}

/** undefined if it is damaged. */
function rootOf(data: Readonly<Record<string, Buffer>>): Root | undefined {
  try {
    const root = JSON.parse((data["root"] ?? Buffer.alloc(0)).toString()) as Partial<Root>;
    return typeof root.digest === "string" && Array.isArray(root.shards) ? { digest: root.digest, shards: root.shards } : undefined;
  } catch {
    return undefined;
  }
}

function isRoot(secret: Manifest): boolean {
  const labels = secret.metadata["labels"];
  return isJsonObject(labels) && labels[STATE_LABEL] === "root";
}

function shardsOf(data: Record<string, Buffer> | undefined): readonly string[] {
  try {
    return (JSON.parse((data?.["root"] ?? "").toString()) as Root).shards;
  } catch {
    return [];
  }
}

function digestOf(value: Uint8Array): string {
  return createHash("sha256").update(value).digest("hex");
}
