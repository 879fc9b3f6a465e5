import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { CodedError } from "@muster/shared/errors";
import { isClusterName } from "@muster/shared/model";
import { z } from "zod";
import { readPrivateFile, replacePrivateFile } from "../identity/private-files.ts";
import { type ClusterAccess, NO_ACCESS } from "./cluster-access.ts";

/** Who may act for each cluster, in the hub's data folder: one file a cluster, mode 0600. */
export interface AccessStore {
  /** Of a cluster that was never heard of: nobody. */
  get(cluster: string): ClusterAccess;
  /** Is on the disk when this returns; a crash leaves what was there before, or this. */
  set(cluster: string, access: ClusterAccess): void;
  /** Clusters of which there is something to tell. */
  readonly clusters: Iterable<string>;
}

const KEYS = z.strictObject({ fingerprint: z.string(), tls: z.string(), nats: z.string(), encryption: z.string() });
const TIME = z.iso.datetime();
const FILE = z.strictObject({
  version: z.literal(1),
  current: z
    .strictObject({
      keys: KEYS,
      origin: z.enum(["token", "approval", "git", "certificate", "renewal"]),
      since: TIME,
      certificateEndsAt: TIME,
    })
    .exactOptional(),
  pending: z.strictObject({ keys: KEYS, reason: z.enum(["another-identity", "expired"]), since: TIME }).exactOptional(),
  token: z.strictObject({ digest: z.string(), expiresAt: TIME, createdBy: z.string(), usedBy: z.string().exactOptional() }).exactOptional(),
  revoked: z.array(z.strictObject({ fingerprint: z.string(), nats: z.string(), at: TIME })),
});

/** Reads all of them. Throws CONFIG_INVALID if one is damaged: without it somebody who was revoked would come in again. */
export function openAccessStore(folder: string): AccessStore {
  const all = new Map<string, ClusterAccess>();
  const pathOf = (cluster: string) => join(folder, `${cluster}.json`);
  for (const file of existsSync(folder) ? readdirSync(folder) : []) {
    const cluster = file.replace(/\.json$/, "");
    if (file.endsWith(".json") && isClusterName(cluster)) all.set(cluster, readAccess(pathOf(cluster)));
  }
  return {
    get: (cluster) => all.get(cluster) ?? NO_ACCESS,
    set(cluster, access) {
      // The name becomes a path.
      if (!isClusterName(cluster)) throw new RangeError(`${JSON.stringify(cluster)} is no cluster name`);
      replacePrivateFile(pathOf(cluster), `${JSON.stringify({ version: 1, ...access }, null, 2)}\n`);
      all.set(cluster, access);
    },
    get clusters() {
      return all.keys();
    },
  };
}

function readAccess(path: string): ClusterAccess {
  try {
    const { version: _, ...access } = FILE.parse(JSON.parse(readPrivateFile(path)));
    return access;
  } catch (cause) {
    throw new CodedError("CONFIG_INVALID", `${path} is damaged; restore it from your backup of the hub's data folder`, {
      cause,
      at: { file: path },
    });
  }
}
