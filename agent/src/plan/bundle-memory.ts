import { type BundleOptions, OnRemoval, type ServiceAccountRef } from "@muster/shared/model";

/** What has to be known of a bundle when Git has it no more: how its objects are to leave. A member that is absent says nothing. */
export interface BundleMemory {
  /** Bundles whose objects must outlive its own (E012). */
  readonly dependsOn?: readonly string[];
  /** Its objects stay in the cluster (E101). */
  readonly orphan?: true;
  /** It was paused when it was seen last (E100). */
  readonly paused?: true;
  /** Who deletes its objects (E008). */
  readonly serviceAccount?: ServiceAccountRef;
}

export function memoryOf({ dependsOn, onRemoval, paused, serviceAccount }: BundleOptions): BundleMemory {
  return {
    ...(dependsOn.length > 0 && { dependsOn }),
    ...(onRemoval === OnRemoval.Orphan && { orphan: true as const }),
    ...(paused && { paused }),
    ...(serviceAccount && { serviceAccount }),
  };
}

/**
 * What is still worth remembering: of bundles that there are, of those that have left objects behind, and of those that one of these
 * depends on, for the order of deletions goes through them. A bundle of which there is nothing to say is not in it.
 */
export function worthRemembering(known: ReadonlyMap<string, BundleMemory>, present: Iterable<string>): ReadonlyMap<string, BundleMemory> {
  const kept = new Map<string, BundleMemory>();
  const open = [...present];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const memory = known.get(name);
    if (!memory || kept.has(name) || Object.keys(memory).length === 0) continue;
    kept.set(name, memory);
    open.push(...(memory.dependsOn ?? []));
  }
  return kept;
}

/** Every bundle that one depends on, directly or through others. */
export function dependenciesOf(bundle: string, memories: ReadonlyMap<string, BundleMemory>): ReadonlySet<string> {
  const found = new Set<string>();
  const open = [...(memories.get(bundle)?.dependsOn ?? [])];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (found.has(name)) continue;
    found.add(name);
    open.push(...(memories.get(name)?.dependsOn ?? []));
  }
  return found;
}
