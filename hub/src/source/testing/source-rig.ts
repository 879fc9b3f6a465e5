import { mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { silentLogger } from "@muster/shared/telemetry";
import { type GitRepository, type GitServer, startGitServer } from "../../../../test/rig/git-server.ts";
import { createTempFolder } from "../../../../test/rig/temp-folder.ts";
import { createGitSource, type GitSourceOptions } from "../git-source.ts";
import type { Source } from "../snapshot.ts";

/** A Git server, and sources of it. */
export interface SourceRig {
  readonly server: GitServer;
  /** An empty repository. */
  repository(branch?: string): Promise<GitRepository>;
  /** A new one. */
  folder(): string;
  /** A source as a hub that just started has it; without `dataDir` it has a new one. */
  source(url: string, more?: Partial<GitSourceOptions>): Source;
  stop(): Promise<void>;
}

export async function startSourceRig(): Promise<SourceRig> {
  const server = await startGitServer();
  const temp = createTempFolder("source");
  let count = 0;
  const folder = () => {
    const path = join(temp.path, `data-${++count}`);
    mkdirSync(path);
    return path;
  };
  return {
    server,
    repository: (branch = "main") => server.createRepository(`repo-${++count}`, { branch }),
    folder,
    source: (url, more = {}) =>
      createGitSource({ name: "fleet", url, ref: "main", dataDir: folder(), idleTimeoutMs: 3_000, logger: silentLogger(), ...more }),
    async stop() {
      await server.stop();
      temp.remove();
    },
  };
}

export async function textOf(snapshot: { read(path: string): Promise<Uint8Array> }, path: string): Promise<string> {
  return Buffer.from(await snapshot.read(path)).toString();
}

/** A file below a folder. */
export interface FoundFile {
  readonly path: string;
  readonly bytes: number;
  readonly madeMs: number;
}

/** Files with this ending below a folder, the oldest first. */
export function filesBelow(folder: string, ending = ""): FoundFile[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending))
    .map((name) => ({ path: join(folder, name), stats: statSync(join(folder, name)) }))
    .filter(({ stats }) => stats.isFile())
    .map(({ path, stats }) => ({ path, bytes: stats.size, madeMs: stats.mtimeMs }))
    .sort((a, b) => a.madeMs - b.madeMs || (a.path < b.path ? -1 : 1));
}
