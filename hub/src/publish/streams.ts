import { CodedError } from "@muster/shared/errors";
import { BLOB_STREAM, BLOB_SUBJECTS, SLICE_STREAM, SLICE_SUBJECTS } from "@muster/shared/wire";
import { DiscardPolicy, type JetStreamManager, RetentionPolicy, StorageType, type StreamConfig } from "nats";
import { isNotFound } from "./jetstream-error.ts";

/** Slices of one cluster that the stream keeps. */
export const SLICES_KEPT = 8;

/** The first server version that has all advisories fixed (security.md, section 3.5). */
const VERSION_FLOOR = [2, 12, 12] as const;

/** Our two streams, as they must be. */
export function wantedStreams(replicas: number): Partial<StreamConfig>[] {
  const common = {
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    allow_direct: true,
    num_replicas: replicas,
    // A full disk refuses what is new, with an error that is shown; "old" would silently drop somebody's desired state.
    discard: DiscardPolicy.New,
    duplicate_window: 120_000_000_000,
    // Desired state does not age, and a sealed or rolled-up stream loses what agents poll.
    max_age: 0,
    allow_rollup_hdrs: false,
  };
  return [
    // Slices are never deleted by hand; only newer ones push old ones out.
    { ...common, name: SLICE_STREAM, subjects: [SLICE_SUBJECTS], max_msgs_per_subject: SLICES_KEPT, deny_delete: true, deny_purge: true },
    { ...common, name: BLOB_STREAM, subjects: [BLOB_SUBJECTS], max_msgs_per_subject: 1 },
  ];
}

/** Settings without which a stream loses state or does not serve agents. */
const SAFETY = [
  "storage",
  "retention",
  "allow_direct",
  "max_msgs_per_subject",
  "discard",
  "max_age",
  "allow_rollup_hdrs",
  "deny_delete",
  "deny_purge",
  "subjects",
] as const;

/** Settings of a stream that are not as they must be, as `name: value`. */
export function unsafeSettings(config: Partial<StreamConfig>, wanted: Partial<StreamConfig>): string[] {
  const differing = SAFETY.filter((key) => JSON.stringify(config[key] ?? defaultOf(key)) !== JSON.stringify(wanted[key] ?? defaultOf(key)));
  const found = differing.map((key) => `${key}: ${JSON.stringify(config[key])}`);
  if (config.sealed) found.push("sealed: true");
  if (config.mirror || (config.sources ?? []).length > 0) found.push("it is a copy of another stream");
  // 2.12 and newer: acknowledges before the message is on disk, whatever sync_interval says.
  if ((config as { persist_mode?: string }).persist_mode === "async") found.push("persist_mode: async");
  return found;
}

function defaultOf(key: (typeof SAFETY)[number]): unknown {
  return key === "max_age" ? 0 : key.startsWith("deny_") || key.startsWith("allow_") ? false : undefined;
}

/**
 * Makes sure that both streams exist and are safe. Gives true if one had to be made, so everything is to be published anew.
 * Throws NATS_STREAM for one that somebody has changed: it is not for the hub to overrule an operator, nor to go on (E228).
 */
export async function ensureStreams(manager: JetStreamManager, replicas: number): Promise<boolean> {
  let made = false;
  for (const wanted of wantedStreams(replicas)) {
    const name = wanted.name ?? "";
    try {
      const { config } = await manager.streams.info(name);
      const unsafe = unsafeSettings(config, wanted);
      if (unsafe.length > 0)
        throw new CodedError("NATS_STREAM", `The stream ${name} has settings that lose desired state: ${unsafe.join(", ")}`);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      await manager.streams.add(wanted);
      made = true;
    }
  }
  return made;
}

/** Throws NATS_VERSION for a server below the advisory floor. */
export function checkServerVersion(version: string): void {
  const have = version.split(/[.-]/).slice(0, 3).map(Number);
  for (const [index, least] of VERSION_FLOOR.entries()) {
    const part = have[index] ?? 0;
    if (part > least) return;
    if (part < least || Number.isNaN(part))
      throw new CodedError("NATS_VERSION", `nats-server ${version} is older than ${VERSION_FLOOR.join(".")}`);
  }
}
