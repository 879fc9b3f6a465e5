import type { JsonObject } from "@muster/shared/model";

/** Fields that list files or directories. */
export const RESOURCE_FIELDS = ["resources", "components", "bases"] as const;
/** Fields that list files, directories or configurations that are written there. */
export const PLUGIN_FIELDS = ["generators", "transformers", "validators"] as const;
/** Fields that list files. */
export const FILE_FIELDS = ["crds", "configurations"] as const;
/** Fields that list maps with a `path`. */
export const PATH_FIELDS = ["patches", "patchesJson6902", "replacements"] as const;
export const GENERATOR_FIELDS = ["configMapGenerator", "secretGenerator"] as const;

/** What a directory of plugin configurations may have: anything else could change them after they were checked. */
export const PLUGIN_DIRECTORY_FIELDS: ReadonlySet<string> = new Set(["apiVersion", "kind", "metadata", "resources"]);

/** All fields of kustomize 5.8 (types.Kustomization). */
const FIELDS: ReadonlySet<string> = new Set([
  ...["apiVersion", "kind", "metadata", "openapi", "namePrefix", "nameSuffix", "namespace", "commonLabels", "labels"],
  ...["commonAnnotations", "patchesStrategicMerge", "images", "imageTags", "replicas", "vars", "sortOptions"],
  ...["helmGlobals", "helmCharts", "helmChartInflationGenerator", "generatorOptions", "buildMetadata"],
  ...[...RESOURCE_FIELDS, ...PLUGIN_FIELDS, ...FILE_FIELDS, ...PATH_FIELDS, ...GENERATOR_FIELDS],
]);

/** Keys of the maps in a kustomization that name files. */
const FILE_KEYS = new Set(["path", "files", "envs", "env"]);

/**
 * A key as Go's JSON decoder compares it: kustomize takes `Resources` for `resources`, and even `reſources` (U+017F).
 */
export function foldKey(key: string): string {
  return key.toUpperCase().toLowerCase();
}

/** A field that kustomize does not know, or takes for one that we would not look at. */
export function unknownField(kustomization: JsonObject): string | undefined {
  return Object.keys(kustomization).find((key) => !FIELDS.has(key));
}

/** A key of a map in a kustomization that names files, in another spelling than we look at. */
export function misspeltKey(map: JsonObject): string | undefined {
  return Object.keys(map).find((key) => !FILE_KEYS.has(key) && FILE_KEYS.has(foldKey(key)));
}
