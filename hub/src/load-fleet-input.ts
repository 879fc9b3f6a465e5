import { posix } from "node:path";
import { CodedError } from "@muster/shared/errors";
import type { FleetSourceInput } from "./fleet/build-fleet.ts";
import { type ReadFile, readDocuments } from "./fleet/read-documents.ts";
import { hiddenDocuments } from "./hidden-documents.ts";
import type { CommitSnapshot } from "./source/snapshot.ts";

/** Where documents are looked for, unless the Fleet document says otherwise. */
const FLEET_FILE = "muster.yaml";
const DEFAULT_CLUSTERS = ["clusters/**/*.yaml", "clusters/**/*.yml"];
const DEFAULT_BUNDLES = ["**/bundle.yaml"];

/** Reads the documents of snapshots; files that did not change since the last time are not read again. */
export interface FleetLoader {
  /** Never throws: a source that cannot be read says so, and makes the fleet incomplete. */
  load(snapshot: CommitSnapshot): Promise<FleetSourceInput>;
}

/** Files that were read, by path and content. */
type Cache = ReadonlyMap<string, ReadFile>;

export function createFleetLoader(): FleetLoader {
  /** Of each source what its last load used: what has left Git is forgotten. */
  const caches = new Map<string, Cache>();

  async function load(snapshot: CommitSnapshot): Promise<FleetSourceInput> {
    const { source, files } = snapshot;
    const before = caches.get(source);
    const used = new Map<string, ReadFile>();
    const read = async (path: string): Promise<ReadFile> => {
      const key = `${path}\n${files.get(path)?.oid}`;
      const file = before?.get(key) ?? readDocuments(await snapshot.read(path), path, source);
      used.set(key, file);
      return file;
    };
    const found: ReadFile[] = [];
    let patterns = [...DEFAULT_CLUSTERS, ...DEFAULT_BUNDLES];
    if (files.get(FLEET_FILE)?.type === "file") {
      const file = await read(FLEET_FILE);
      found.push(file);
      const spec = file.documents.find((document) => document.kind === "Fleet")?.document.spec;
      patterns = [...(spec?.clusters ?? DEFAULT_CLUSTERS), ...(spec?.bundles ?? DEFAULT_BUNDLES)];
    }
    const paths = documentPaths(snapshot, patterns);
    for (const path of paths) {
      if (path === FLEET_FILE) continue;
      const file = await read(path);
      // A chart's template may be called as a document is; it counts as one only if it is one.
      if (!isTemplate(snapshot, path) || file.documents.length > 0) found.push(file);
    }
    const search = { snapshot, patterns: [FLEET_FILE, ...patterns], found: new Set(paths) };
    found.push({ documents: [], problems: await hiddenDocuments(search) });
    caches.set(source, used);
    return { source, commit: commitOf(snapshot), files: found };
  }

  return {
    async load(snapshot) {
      try {
        return await load(snapshot);
      } catch (error) {
        const { code, message, at } = CodedError.from(error, "SOURCE_PROTOCOL");
        const problem = { code, message: `The source ${snapshot.source} cannot be read: ${message}`, ...(at && { at }) };
        return { source: snapshot.source, commit: commitOf(snapshot), files: [], problem };
      }
    },
  };
}

function commitOf({ source, ref, commit }: CommitSnapshot): NonNullable<FleetSourceInput["commit"]> {
  return { source, ref, commit };
}

function documentPaths({ files }: CommitSnapshot, patterns: readonly string[]): string[] {
  return [...files.values()].flatMap(({ path, type }) =>
    type === "file" && patterns.some((pattern) => posix.matchesGlob(path, pattern)) ? [path] : [],
  );
}

function isTemplate({ files }: CommitSnapshot, path: string): boolean {
  const chart = /^(.*?)(?:^|\/)templates\//.exec(path)?.[1];
  return chart !== undefined && files.has(posix.join(chart, "Chart.yaml"));
}
