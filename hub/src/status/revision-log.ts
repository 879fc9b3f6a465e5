import { compareGenerations, formatRevision, type Generation, type Slice } from "@muster/shared/model";
import type { RevisionView } from "./views.ts";

type Entry = Omit<RevisionView, "current" | "clusters">;

const MAX_REVISIONS = 100;

/** The last revisions, newest first. */
export class RevisionLog {
  readonly #entries: Entry[] = [];

  /** Gives true if the revision is another one than the last. A retry of the same one adds to it. */
  add(entry: Entry): boolean {
    const [last] = this.#entries;
    if (last?.revision === entry.revision) {
      this.#entries[0] = { ...last, publishedSlices: last.publishedSlices + entry.publishedSlices, problems: entry.problems };
      return false;
    }
    this.#entries.unshift(entry);
    this.#entries.length = Math.min(this.#entries.length, MAX_REVISIONS);
    return true;
  }

  /** `appliedBy` tells the generation that a cluster's agent has applied. */
  views(slices: ReadonlyMap<string, Slice>, appliedBy: (cluster: string) => Generation | undefined): RevisionView[] {
    const counts = new Map<string, { total: number; applied: number }>();
    for (const [cluster, slice] of slices) {
      const revision = formatRevision(slice.commits);
      const count = counts.get(revision) ?? { total: 0, applied: 0 };
      count.total += 1;
      const applied = appliedBy(cluster);
      if (applied && compareGenerations(applied, slice) === 0) count.applied += 1;
      counts.set(revision, count);
    }
    return this.#entries.map((entry, index) => ({
      ...entry,
      current: index === 0,
      clusters: counts.get(entry.revision) ?? { total: 0, applied: 0 },
    }));
  }
}
