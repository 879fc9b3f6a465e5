import fs from "node:fs";
import { CodedError } from "@muster/shared/errors";
import { LogField, type Logger } from "@muster/shared/telemetry";
import git from "isomorphic-git";
import { createCloneFolder } from "./clone-folder.ts";
import type { GitClone } from "./git-clone.ts";
import { cloneError } from "./git-errors.ts";
import { createGitRemote, type RemoteRef } from "./git-remote.ts";
import { readSnapshot } from "./git-snapshot.ts";
import { checkSignatures, type SignatureRule } from "./signatures/check-signature.ts";
import type { CommitSnapshot, Source } from "./snapshot.ts";
import { parseSourceUrl } from "./source-url.ts";

/** Options of {@link createGitSource}. */
export interface GitSourceOptions {
  readonly name: string;
  readonly url: string;
  /** Branch, tag or full commit id. */
  readonly ref: string;
  /** Directory in the repository that is the fleet's root. Default `.`. */
  readonly path?: string;
  /** The clone lives below it; it can be rebuilt at any time. */
  readonly dataDir: string;
  readonly credentialsFile?: string;
  /** Certificates (PEM) of a private authority, trusted for this source in place of Node's. Read again at every request. */
  readonly caFile?: string;
  /** What must be signed, and by whom. Absent: nothing need be. */
  readonly verify?: SignatureRule;
  /** Milliseconds for one look, with all that it downloads. Default 600 000. */
  readonly timeoutMs?: number;
  /** Milliseconds without a byte from the server. Default 60 000. */
  readonly idleTimeoutMs?: number;
  /** Packs after which the repository is cloned afresh, because isomorphic-git never repacks. Default 200. */
  readonly maxPacks?: number;
  readonly logger: Logger;
}

/** Commits that are looked through to find out whether a ref was rewritten. */
const MAX_ANCESTORS = 5_000;

/** What was read last, and from which clone. */
interface Reading {
  readonly snapshot: CommitSnapshot;
  readonly clone: GitClone;
  /** The annotated tag that named it. */
  readonly tag?: string;
}

/** A source over Git's smart HTTP, with isomorphic-git: one full clone without checkout, then incremental fetches. Throws SOURCE_CONFIG. */
export function createGitSource(options: GitSourceOptions): Source {
  const { name, ref, logger, timeoutMs = 600_000, idleTimeoutMs = 60_000, maxPacks = 200, credentialsFile, caFile } = options;
  const url = parseSourceUrl(options.url);
  const root = normalisePath(options.path ?? ".");
  const remote = createGitRemote({ url, ref, idleTimeoutMs, ...(credentialsFile && { credentialsFile }), ...(caFile && { caFile }) });
  const tagName = ref.replace(/^refs\/tags\//, "");
  const clones = createCloneFolder(options.dataDir, { name, url, ref });
  let last: Reading | undefined;
  let compactAt = maxPacks;

  /** Equal ids are equal bytes: what one clone has lost, the one after it has. */
  async function readBlob(clone: GitClone, oid: string): Promise<Uint8Array> {
    try {
      return await clone.reading(({ blob }) => blob(oid));
    } catch (error) {
      const current = await clones.current();
      if (current === clone) throw error;
      return await current.reader.blob(oid);
    }
  }

  /** Before anything that it holds is read. `tag`: the annotated tag that named it. Throws SOURCE_SIGNATURE. */
  async function verify(clone: GitClone, commit: string, tag: string | undefined): Promise<void> {
    if (!options.verify) return;
    const rawCommit = await clone.rawObject("commit", commit);
    const tagged = tag !== undefined && options.verify.mode !== "head" && { rawTag: await clone.rawObject("tag", tag), tagName };
    const signers = checkSignatures({ commit, rawCommit, ...tagged }, options.verify);
    logger.debug({ [LogField.Source]: name, commit, signers }, "the signatures of the source are good");
  }

  async function read(clone: GitClone, commit: string, tag: string | undefined): Promise<Reading> {
    await verify(clone, commit, tag);
    const blob = (oid: string) => readBlob(clone, oid);
    const snapshot = await clone.reading((reader) => readSnapshot({ reader, blob, source: name, ref, commit, root }));
    return { snapshot, clone, ...(tag !== undefined && { tag }) };
  }

  async function take(clone: GitClone, wanted: RemoteRef, signal: AbortSignal): Promise<Reading> {
    // A tag that is to be looked at must be here too; the commit may have come by another way.
    const hasTag =
      wanted.tag === undefined || !options.verify || options.verify.mode === "head" || (await clone.commitOf(wanted.tag)) !== undefined;
    const commit = (hasTag ? await clone.commitOf(wanted.oid) : undefined) ?? (await remote.fetchInto(clone, wanted, signal));
    if (last?.clone === clone && last.snapshot.commit === commit) return last;
    const tag = options.verify && options.verify.mode !== "head" ? wanted.tag : undefined;
    // It has moved since it was looked at; the next look sees where to.
    if (tag !== undefined && (await clone.commitOf(tag)) === undefined)
      throw new CodedError("SOURCE_PROTOCOL", `${url} did not send the tag ${tag} of ${wanted.ref}, which it has named`);
    return await read(clone, commit, tag);
  }

  /** Into a new folder: until it is whole, all stays as it is. */
  async function cloneAfresh(wanted: RemoteRef, signal: AbortSignal): Promise<Reading> {
    const clone = await clones.fresh();
    try {
      const reading = await take(clone, wanted, signal);
      clones.adopt(clone);
      compactAt = maxPacks;
      return reading;
    } catch (error) {
      // It is the commit that is no good then, and the clone need not be made again for that.
      if (isAboutContent(error)) clones.adopt(clone);
      else await clones.discard(clone);
      throw error;
    }
  }

  /** Joins packs by cloning; what was read already is good enough while that fails. */
  async function compact(reading: Reading, wanted: RemoteRef, signal: AbortSignal): Promise<Reading> {
    const packs = await reading.clone.packs();
    if (packs < compactAt) return reading;
    return await cloneAfresh(wanted, signal).catch((error: unknown) => {
      compactAt = packs + Math.ceil(maxPacks / 4);
      logger.warn({ [LogField.Source]: name, err: error }, "the repository cannot be cloned afresh; its clone stays as it is");
      return reading;
    });
  }

  async function look(clone: GitClone, signal: AbortSignal): Promise<Reading> {
    const wanted = await remote.look(signal);
    // A commit that is new is not kept waiting for packs to be joined.
    if (last?.clone === clone && last.snapshot.commit === wanted.oid && !clone.damaged) return await compact(last, wanted, signal);
    try {
      if (!clone.damaged) return await take(clone, wanted, signal);
    } catch (error) {
      if (!clone.damaged) throw error;
      logger.warn({ [LogField.Source]: name, err: error }, "the clone on disk is damaged");
    }
    logger.warn({ [LogField.Source]: name }, "cloning afresh");
    return await cloneAfresh(wanted, signal);
  }

  /** Whether a commit is missing in the history of the one that follows it. A history that is too long to tell is none. */
  async function isRewrite(before: string, { snapshot: { commit }, clone }: Reading): Promise<boolean> {
    if (before === commit) return false;
    const { gitdir, cache } = clone.reader;
    return await git.isDescendent({ fs, gitdir, oid: commit, ancestor: before, depth: MAX_ANCESTORS, cache }).then(
      (follows) => !follows,
      () => false,
    );
  }

  async function fetch(signal: AbortSignal): Promise<CommitSnapshot> {
    const clone = await clones.current();
    const before = last?.snapshot.commit ?? (await clone.head());
    const reading = await look(clone, AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]));
    if (reading === last) return last.snapshot;
    const rewritten = before !== undefined && (await isRewrite(before, reading));
    await reading.clone.keepHead(reading.snapshot.commit, reading.tag);
    last = rewritten ? { ...reading, snapshot: { ...reading.snapshot, rewrites: before } } : reading;
    return last.snapshot;
  }

  return {
    name,
    ref,
    async fetch(signal) {
      try {
        return await fetch(signal);
      } catch (error) {
        throw cloneError(error, url);
      }
    },
    async kept() {
      if (last) return last.snapshot;
      try {
        const clone = await clones.current();
        const head = await clone.head();
        if (head !== undefined) last = await read(clone, head, await clone.headTag());
      } catch (error) {
        logger.warn({ [LogField.Source]: name, err: error }, "the clone on disk holds no commit that can be used");
      }
      return last?.snapshot;
    },
    close: () => remote.close(),
  };
}

const ABOUT_CONTENT: ReadonlySet<string> = new Set(["SOURCE_PATH_MISSING", "SOURCE_EMPTY", "SOURCE_SIGNATURE", "CONFIG_INVALID"]);

/** What a commit holds is at fault, and not what it was read from. */
function isAboutContent(error: unknown): boolean {
  return error instanceof CodedError && ABOUT_CONTENT.has(error.code);
}

function normalisePath(path: string): string {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw new CodedError("SOURCE_CONFIG", `The path of a source may not contain ..: ${path}`);
  return parts.join("/");
}
