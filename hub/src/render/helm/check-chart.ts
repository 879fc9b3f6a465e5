import { CodedError } from "@muster/shared/errors";
import { isJsonObject, type JsonObject } from "@muster/shared/model";
import type { BundleFiles } from "../bundle/bundle-files.ts";
import { joinPath } from "../bundle/bundle-path.ts";
import type { DocumentReader } from "../documents/document-reader.ts";

/** Refuses a chart whose dependencies are not vendored: RENDER_REMOTE, at the file that lists them. */
export async function checkDependencies(files: BundleFiles, chart: string, reader: DocumentReader): Promise<void> {
  const vendored = await vendoredNames(files, chart, reader);
  // requirements.yaml is where charts of apiVersion v1 list them.
  for (const file of ["Chart.yaml", "requirements.yaml"]) {
    const path = joinPath(chart, file);
    if (!files.files.has(path)) continue;
    for (const name of await dependencyNames(files, path, reader)) {
      if (vendored.some((known) => known === name || known.startsWith(`${name}-`))) continue;
      throw new CodedError(
        "RENDER_REMOTE",
        `The dependency ${JSON.stringify(name)} is not in charts/; run "helm dependency build" and commit what it makes`,
        {
          at: files.position(path),
        },
      );
    }
  }
}

async function dependencyNames(files: BundleFiles, path: string, reader: DocumentReader): Promise<string[]> {
  const dependencies = (await readMap(files, path, reader))["dependencies"];
  if (!Array.isArray(dependencies)) return [];
  return dependencies.flatMap((entry) => (isJsonObject(entry) && typeof entry["name"] === "string" ? [entry["name"]] : []));
}

/** Names under charts/: of archives without their ending, of directories, and what a directory's Chart.yaml says. */
async function vendoredNames(files: BundleFiles, chart: string, reader: DocumentReader): Promise<string[]> {
  const folder = joinPath(chart, "charts");
  const names = new Set<string>();
  for (const path of files.below(folder)) {
    const [name = "", second, ...deeper] = path.slice(folder.length + 1).split("/");
    names.add(name.replace(/\.(?:tgz|tar\.gz)$/, ""));
    if (second !== "Chart.yaml" || deeper.length > 0) continue;
    const own = (await readMap(files, path, reader))["name"];
    if (typeof own === "string") names.add(own);
  }
  return [...names];
}

async function readMap(files: BundleFiles, path: string, reader: DocumentReader): Promise<JsonObject> {
  const [document] = await reader.read(await files.read(path), files.position(path));
  return isJsonObject(document?.value) ? document.value : {};
}
