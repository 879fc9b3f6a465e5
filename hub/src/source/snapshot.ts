/** One entry of a commit's tree, at or below the source's `path`. */
export interface SnapshotFile {
  /** Path relative to the source's `path`, with `/`. */
  readonly path: string;
  /** Git object id of the content: equal ids are equal bytes. */
  readonly oid: string;
  readonly type: "file" | "symlink" | "submodule";
  readonly executable: boolean;
}

/** What one commit holds. Immutable. Never empty: a source that has nothing throws instead. */
export interface CommitSnapshot {
  /** Name of the source. */
  readonly source: string;
  /** The configured branch, tag or commit. */
  readonly ref: string;
  /** Full commit id. */
  readonly commit: string;
  /** The commit before it, if that is not in its history: somebody has rewritten the ref (a force-push). */
  readonly rewrites?: string;
  /** First line of the commit message, author and date (RFC 3339), for people. */
  readonly subject: string;
  readonly author: string;
  readonly committedAt: string;
  /** By path. */
  readonly files: ReadonlyMap<string, SnapshotFile>;
  /** Bytes of a regular file. Throws BUNDLE_FILE_MISSING if there is none (symlinks are not followed), or SOURCE_CLONE. */
  read(path: string): Promise<Uint8Array>;
  /** Where a symlink leads, as it says itself. Throws BUNDLE_FILE_MISSING if there is none. */
  readLink(path: string): Promise<string>;
}

/** A Git repository and ref that the hub watches. */
export interface Source {
  readonly name: string;
  readonly ref: string;
  /**
   * Looks at the remote and gives the snapshot of the ref's commit; the same snapshot object while the commit is the
   * same. Another object with the same commit can be read where the one before could not: the clone on disk was damaged,
   * and was made anew. Throws a CodedError SOURCE_*; it never gives an empty or partial snapshot, and a failure leaves the
   * last good one untouched.
   */
  fetch(signal: AbortSignal): Promise<CommitSnapshot>;
  /**
   * The last good snapshot, without a look at the remote; after a start the one that an earlier process has left on disk.
   * For when the first look fails. undefined: there is none, or it cannot be read. Never throws, and never runs at the same
   * time as {@link fetch}.
   */
  kept(): Promise<CommitSnapshot | undefined>;
  /** Frees what the source holds. */
  close(): Promise<void>;
}
