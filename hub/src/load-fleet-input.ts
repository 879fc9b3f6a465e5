import { posix } from "node:path";
import type { FleetSourceInput } from "./fleet/build-fleet.ts";
import { type ReadFile, readDocuments } from "./fleet/read-documents.ts";
import type { CommitSnapshot } from "./source/snapshot.ts";

/** Where documents are looked for, unless the Fleet document says otherwise. */
const FLEET_FILE = "muster.yaml";
const DEFAULT_CLUSTERS = ["clusters/**/*.yaml", "clusters/**/*.yml"];
const DEFAULT_BUNDLES = ["**/bundle.yaml"];

/** Reads the documents of snapshots; files that did not change since the last time are not read again. */
export interface FleetLoader {
  load(snapshot: CommitSnapshot): Promise<FleetSourceInput>;
}

export function createFleetLoader(): FleetLoader {
  const cache = new Map<string, ReadFile>();
  const read = async (snapshot: CommitSnapshot, path: string): Promise<ReadFile> => {
    const key = `${snapshot.source}\n${path}\n${snapshot.files.get(path)?.oid}`;
    const known = cache.get(key);
    if (known) return known;
    const file = readDocuments(Buffer.from(await snapshot.read(path)).toString("utf8"), path, snapshot.source);
    cache.set(key, file);
    if (cache.size > 50_000) cache.clear();
    return file;
  };
  return {
    async load(snapshot) {
      const files: ReadFile[] = [];
      let patterns = [...DEFAULT_CLUSTERS, ...DEFAULT_BUNDLES];
      if (snapshot.files.get(FLEET_FILE)?.type === "file") {
        const file = await read(snapshot, FLEET_FILE);
        files.push(file);
        const spec = file.documents.find((document) => document.kind === "Fleet")?.document.spec;
        patterns = [...(spec?.clusters ?? DEFAULT_CLUSTERS), ...(spec?.bundles ?? DEFAULT_BUNDLES)];
      }
      for (const [path, entry] of snapshot.files) {
        if (entry.type !== "file" || path === FLEET_FILE || !patterns.some((pattern) => posix.matchesGlob(path, pattern))) continue;
        files.push(await read(snapshot, path));
      }
      return { source: snapshot.source, commit: { source: snapshot.source, ref: snapshot.ref, commit: snapshot.commit }, files };
    },
  };
}
