import type { CommitSnapshot, SnapshotFile } from "../../source/snapshot.ts";

const sortedFiles = new WeakMap<CommitSnapshot, readonly SnapshotFile[]>();

/** Entries of a snapshot at or below a directory ("" for all), sorted by path. The order is made once per snapshot. */
export function filesBelow(snapshot: CommitSnapshot, directory: string): readonly SnapshotFile[] {
  let sorted = sortedFiles.get(snapshot);
  if (!sorted) {
    sorted = [...snapshot.files.values()].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
    sortedFiles.set(snapshot, sorted);
  }
  if (directory === "") return sorted;
  const prefix = `${directory}/`;
  const start = lowerBound(sorted, prefix);
  let end = start;
  while (sorted[end]?.path.startsWith(prefix)) end += 1;
  return sorted.slice(start, end);
}

/** Index of the first entry whose path is not before `path`. */
function lowerBound(files: readonly SnapshotFile[], path: string): number {
  let low = 0;
  let high = files.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((files[middle]?.path ?? "") < path) low = middle + 1;
    else high = middle;
  }
  return low;
}
