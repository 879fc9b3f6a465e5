import { createHash } from "node:crypto";
import fs, { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "@muster/shared/errors";
import { LogField, type Logger } from "@muster/shared/telemetry";
import git from "isomorphic-git";
import { createGitHttp } from "./git-http.ts";
import { createObjectReader, type ObjectReader, readSnapshot } from "./git-snapshot.ts";
import type { CommitSnapshot, Source } from "./snapshot.ts";

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
  /** Milliseconds for one request to the server. Default 60 000. */
  readonly timeoutMs?: number;
  /** Packs after which the repository is cloned afresh, because isomorphic-git never repacks. Default 200. */
  readonly maxPacks?: number;
  readonly logger: Logger;
}

const MAX_ANSWER_BYTES = 2 * 1024 * 1024 * 1024;

/** Commits that are looked through to find out whether a ref was rewritten. */
const MAX_ANCESTORS = 5_000;

/** Where a ref stands on the server. */
interface RemoteRef {
  /** Full name to fetch, `refs/heads/main`; undefined for a commit id. */
  readonly ref: string | undefined;
  /** Commit that the server names now; for a pinned commit, the pin. */
  readonly commit: string;
}

/** A source over Git's smart HTTP, with isomorphic-git: one full clone without checkout, then incremental fetches. Throws SOURCE_CONFIG. */
export function createGitSource(options: GitSourceOptions): Source {
  const { name, ref, logger, timeoutMs = 60_000, maxPacks = 200 } = options;
  const url = checkUrl(options.url);
  const root = normalisePath(options.path ?? ".");
  const key = createHash("sha256").update(`${url}\n${ref}`).digest("hex").slice(0, 12);
  const folder = join(options.dataDir, "sources", `${name}-${key}`);
  let reader: ObjectReader | undefined;
  let last: CommitSnapshot | undefined;
  let packs = 0;

  async function lookAtRemote(signal: AbortSignal): Promise<RemoteRef> {
    const http = createGitHttp(
      { url, timeoutMs, maxBytes: MAX_ANSWER_BYTES, ...(options.credentialsFile && { credentialsFile: options.credentialsFile }) },
      signal,
    );
    if (/^[0-9a-f]{40}$/.test(ref)) return { ref: undefined, commit: ref };
    const wanted = ref.startsWith("refs/") ? [ref] : [`refs/heads/${ref}`, `refs/tags/${ref}`];
    const refs = await git.listServerRefs({
      http,
      url,
      protocolVersion: 2,
      symrefs: false,
      peelTags: true,
      ...(wanted.length === 1 && { prefix: ref }),
    });
    for (const full of wanted) {
      const found = refs.find((entry) => entry.ref === full);
      if (found) return { ref: full, commit: (found as { peeled?: string }).peeled ?? found.oid };
    }
    if (refs.length === 0) throw new CodedError("SOURCE_EMPTY", `${url} has no commit yet`);
    throw new CodedError("SOURCE_REF_MISSING", `${url} has no branch or tag ${ref}`);
  }

  /** One per clone, for its cache of packs. */
  function currentReader(): NonNullable<typeof reader> {
    reader ??= createObjectReader(folder);
    return reader;
  }

  async function download(remote: RemoteRef, signal: AbortSignal): Promise<string> {
    const http = createGitHttp(
      { url, timeoutMs, maxBytes: MAX_ANSWER_BYTES, ...(options.credentialsFile && { credentialsFile: options.credentialsFile }) },
      signal,
    );
    if (!existsSync(join(folder, "HEAD"))) {
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder, { recursive: true });
      await git.init({ fs, gitdir: folder, bare: true });
      await git.addRemote({ fs, gitdir: folder, remote: "origin", url, force: true });
      packs = 0;
    }
    const { cache } = currentReader();
    const result = await git.fetch({
      fs,
      http,
      gitdir: folder,
      url,
      remote: "origin",
      cache,
      tags: false,
      singleBranch: true,
      ...(remote.ref ? { ref: remote.ref, remoteRef: remote.ref } : {}),
    });
    packs += 1;
    const commit = remote.ref ? await peel(result.fetchHead ?? remote.commit) : remote.commit;
    // isomorphic-git tells the server of the ref by just this name, and without it that we have nothing at all.
    if (remote.ref) await git.writeRef({ fs, gitdir: folder, ref: remote.ref, value: commit, force: true });
    await writeFile(join(folder, "muster-head"), commit);
    return commit;
  }

  /** An annotated tag names a tag object; the commit is behind it. */
  async function peel(oid: string): Promise<string> {
    const cache = reader?.cache ?? {};
    const { object, type } = await git.readObject({ fs, gitdir: folder, oid, cache, format: "parsed" });
    return type === "tag" ? peel((object as { object: string }).object) : oid;
  }

  async function startAfresh(): Promise<void> {
    reader = undefined;
    packs = 0;
    const trash = `${folder}.old-${process.pid}`;
    await rename(folder, trash).catch(() => {});
    await rm(trash, { recursive: true, force: true });
  }

  async function fetchOnce(signal: AbortSignal): Promise<CommitSnapshot> {
    const remote = await lookAtRemote(signal);
    if (last?.commit === remote.commit) return last;
    if (packs >= maxPacks) await startAfresh();
    const here = await readFile(join(folder, "muster-head"), "utf8").catch(() => "");
    const commit = here === remote.commit ? here : await download(remote, signal);
    if (last?.commit === commit) return last;
    const snapshot = await readSnapshot({ reader: currentReader(), source: name, ref, commit, root });
    const before = last?.commit ?? here;
    return before !== "" && (await isRewrite(before, commit)) ? { ...snapshot, rewrites: before } : snapshot;
  }

  /** Whether a commit is missing in the history of the one that follows it. A history that is too long to tell is none. */
  async function isRewrite(before: string, commit: string): Promise<boolean> {
    if (before === commit) return false;
    const { cache } = currentReader();
    return git.isDescendent({ fs, gitdir: folder, oid: commit, ancestor: before, depth: MAX_ANCESTORS, cache }).then(
      (follows) => !follows,
      () => false,
    );
  }

  return {
    name,
    ref,
    async fetch(signal) {
      let snapshot: CommitSnapshot;
      try {
        snapshot = await fetchOnce(signal);
      } catch (error) {
        const coded = toSourceError(error, url);
        if (coded.code !== "SOURCE_PROTOCOL" || (error instanceof CodedError && error.code === "SOURCE_PROTOCOL")) throw coded;
        // A clone that cannot be read is thrown away and made anew, once (E160).
        logger.warn({ [LogField.Source]: name, err: coded }, "the local clone is not usable; cloning afresh");
        await startAfresh();
        snapshot = await fetchOnce(signal).catch((again: unknown) => Promise.reject(toSourceError(again, url)));
      }
      last = snapshot;
      return snapshot;
    },
    close: async () => {},
  };
}

/** Only http and https, and no credentials in the URL, where they would end in logs. */
function checkUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new CodedError("SOURCE_CONFIG", "The URL of a source cannot be read", { cause });
  }
  if (url.protocol !== "https:" && url.protocol !== "http:")
    throw new CodedError("SOURCE_CONFIG", `Sources are fetched over http and https, not ${url.protocol}`);
  if (url.username || url.password)
    throw new CodedError("SOURCE_CONFIG", `The URL of the source on ${url.host} holds credentials; put them into a credentials file`);
  return url.href.replace(/\/+$/, "");
}

function normalisePath(path: string): string {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw new CodedError("SOURCE_CONFIG", `The path of a source may not contain ..: ${path}`);
  return parts.join("/");
}

/** isomorphic-git's errors have codes of their own; whatever else it throws means that the clone cannot be read. */
function toSourceError(error: unknown, url: string): CodedError {
  if (error instanceof CodedError) return error;
  const code = (error as { code?: string }).code ?? "";
  const message = error instanceof Error ? error.message : String(error);
  if (code === "HttpError") return new CodedError("SOURCE_UNREACHABLE", `${url}: ${message}`, { cause: error });
  if (code === "NotFoundError" && /Could not find [0-9a-f]{40}/.test(message))
    return new CodedError("SOURCE_REF_MISSING", `${url}: ${message}`, { cause: error });
  if (code === "ENOSPC" || code === "EIO")
    return new CodedError("SOURCE_UNREACHABLE", `The clone of ${url} cannot be stored: ${code}`, { cause: error });
  return new CodedError("SOURCE_PROTOCOL", `${url}: ${message.slice(0, 300)}`, { cause: error });
}
