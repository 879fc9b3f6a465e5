import fs from "node:fs";
import { CodedError } from "@muster/shared/errors";
import git, { type FetchResult } from "isomorphic-git";
import type { GitClone } from "./git-clone.ts";
import { remoteError } from "./git-errors.ts";
import { createGitHttp } from "./git-http.ts";
import { createGitTrust } from "./git-trust.ts";

/** Options of {@link createGitRemote}. */
export interface GitRemoteOptions {
  /** As `parseSourceUrl` gives it. */
  readonly url: string;
  /** Branch, tag or full commit id. */
  readonly ref: string;
  readonly credentialsFile?: string;
  readonly caFile?: string;
  /** Milliseconds without a byte from the server after which it is given up. */
  readonly idleTimeoutMs: number;
}

/** Where a ref stands on the server. */
export interface RemoteRef {
  /** What to ask for: a full name, `refs/heads/main`, or a commit id. */
  readonly ref: string;
  /** The commit, or the tag of a commit, that the server names now; for a pinned commit, the pin. */
  readonly oid: string;
  /** The annotated tag that names the commit, where the ref is one. */
  readonly tag?: string;
}

/** The server's side of a source. Whatever fails here says nothing about the clone. */
export interface GitRemote {
  /** Throws SOURCE_*. A pinned commit is not asked for: it cannot move. */
  look(signal: AbortSignal): Promise<RemoteRef>;
  /** Gets what is new into a clone, and the id of the commit, which can be read there. Throws SOURCE_*. */
  fetchInto(clone: GitClone, remote: RemoteRef, signal: AbortSignal): Promise<string>;
  close(): Promise<void>;
}

const MAX_ANSWER_BYTES = 2 * 1024 * 1024 * 1024;

const COMMIT_ID = /^[0-9a-f]{40}$/;

export function createGitRemote(options: GitRemoteOptions): GitRemote {
  const { url, ref, credentialsFile, caFile, idleTimeoutMs } = options;
  const trust = caFile === undefined ? undefined : createGitTrust(caFile);
  const http = (signal: AbortSignal) =>
    createGitHttp(
      { url, idleTimeoutMs, maxBytes: MAX_ANSWER_BYTES, ...(credentialsFile && { credentialsFile }), ...(trust && { trust }) },
      signal,
    );

  async function listRefs(wanted: readonly string[], signal: AbortSignal) {
    const [only] = wanted.length === 1 ? wanted : [];
    try {
      return await git.listServerRefs({
        http: http(signal),
        url,
        protocolVersion: 2,
        symrefs: false,
        peelTags: true,
        ...(only && { prefix: only }),
      });
    } catch (error) {
      throw remoteError(error, url);
    }
  }

  async function transfer(clone: GitClone, remote: RemoteRef, signal: AbortSignal) {
    try {
      await clone.prepare();
      // The types say nothing of `packfile`, which is there when there was something new.
      const result: FetchResult & { readonly packfile?: string } = await git.fetch({
        fs,
        http: http(signal),
        gitdir: clone.folder,
        url,
        remote: "origin",
        cache: clone.reader.cache,
        tags: false,
        singleBranch: true,
        ref: remote.ref,
        remoteRef: remote.ref,
      });
      return result;
    } catch (error) {
      throw remoteError(error, url);
    }
  }

  function missing({ ref: asked, oid }: RemoteRef): CodedError {
    if (asked === oid) return new CodedError("SOURCE_REF_MISSING", `${url} has no commit ${oid}, or none that a branch or tag leads to`);
    return new CodedError("SOURCE_PROTOCOL", `${url} did not send commit ${oid} of ${asked}, which it has named`);
  }

  return {
    async look(signal) {
      if (COMMIT_ID.test(ref)) return { ref, oid: ref };
      const wanted = ref.startsWith("refs/") ? [ref] : [`refs/heads/${ref}`, `refs/tags/${ref}`];
      const refs = await listRefs(wanted, signal);
      for (const full of wanted) {
        const found = refs.find((entry) => entry.ref === full);
        if (!found) continue;
        const { peeled } = found as { peeled?: string };
        return peeled === undefined ? { ref: full, oid: found.oid } : { ref: full, oid: peeled, tag: found.oid };
      }
      if (refs.length === 0) throw new CodedError("SOURCE_EMPTY", `${url} has no commit yet`);
      throw new CodedError("SOURCE_REF_MISSING", `${url} has no branch or tag ${ref}`);
    },

    async fetchInto(clone, remote, signal) {
      const { fetchHead, packfile } = await transfer(clone, remote, signal);
      if (packfile !== undefined && !(await clone.takePack(packfile)))
        throw new CodedError("SOURCE_PROTOCOL", `${url}: the pack that the server sent is not whole`);
      const commit = await clone.commitOf(fetchHead ?? remote.oid);
      if (commit === undefined) throw missing(remote);
      // isomorphic-git tells the server of the ref by just this name, and without it that we have nothing at all.
      if (remote.ref !== remote.oid) await clone.keepRef(remote.ref, commit);
      return commit;
    },

    async close() {
      await trust?.close();
    },
  };
}
