import { CodedError } from "@muster/shared/errors";
import { BLOB_STREAM, BLOB_SUBJECTS, SLICE_STREAM, SLICE_SUBJECTS } from "@muster/shared/wire";
import { DiscardPolicy, type JetStreamManager, NatsError, RetentionPolicy, StorageType, type StreamConfig } from "nats";

/** Slices of one cluster that the stream keeps. */
export const SLICES_KEPT = 8;

/** The first server version that has all advisories fixed (security.md, section 3.5). */
const VERSION_FLOOR = [2, 12, 12] as const;

/** Our two streams, as they must be. */
export function wantedStreams(replicas: number): Partial<StreamConfig>[] {
  const common = { storage: StorageType.File, retention: RetentionPolicy.Limits, allow_direct: true, num_replicas: replicas, discard: DiscardPolicy.Old, duplicate_window: 120_000_000_000 };
  return [
    // Slices are never deleted by hand; only newer ones push old ones out.
    { ...common, name: SLICE_STREAM, subjects: [SLICE_SUBJECTS], max_msgs_per_subject: SLICES_KEPT, deny_delete: true, deny_purge: true },
    { ...common, name: BLOB_STREAM, subjects: [BLOB_SUBJECTS], max_msgs_per_subject: 1 },
  ];
}

/** Makes sure that both streams exist and are safe. Gives true if one had to be made, so everything is to be published anew. */
export async function ensureStreams(manager: JetStreamManager, replicas: number): Promise<boolean> {
  let made = false;
  for (const wanted of wantedStreams(replicas)) {
    const name = wanted.name ?? "";
    try {
      const { config } = await manager.streams.info(name);
      const unsafe = (["storage", "retention", "allow_direct", "max_msgs_per_subject"] as const).filter((key) => config[key] !== wanted[key]);
      if (unsafe.length > 0 || config.subjects?.join() !== wanted.subjects?.join()) {
        throw new CodedError("NATS_STREAM", `The stream ${name} was changed: ${[...unsafe, ...(config.subjects?.join() === wanted.subjects?.join() ? [] : ["subjects"])].join(", ")}`);
      }
    } catch (error) {
      if (!isNotFound(error)) throw error;
      await manager.streams.add(wanted);
      made = true;
    }
  }
  return made;
}

/** 404, or the API error “stream not found” (10059). */
export function isNotFound(error: unknown): boolean {
  if (!(error instanceof NatsError)) return false;
  return error.code === "404" || error.api_error?.err_code === 10059 || error.api_error?.err_code === 10037;
}

/** Throws NATS_VERSION for a server below the advisory floor. */
export function checkServerVersion(version: string): void {
  const have = version.split(/[.-]/).slice(0, 3).map(Number);
  for (const [index, least] of VERSION_FLOOR.entries()) {
    const part = have[index] ?? 0;
    if (part > least) return;
    if (part < least) throw new CodedError("NATS_VERSION", `nats-server ${version} is older than ${VERSION_FLOOR.join(".")}`);
  }
}
