/** Documents and ConfigMaps of the bench. Objects have 200 bytes of data, so that figures compare with those of peers. */
export function clusterFile(names: readonly string[]): string {
  return names
    .map((name) => `apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: { name: ${name}, labels: { bench: "true" } }\n`)
    .join("---\n");
}

export function bundleFile(name: string, targets: string): string {
  return `apiVersion: muster.dev/v1alpha1\nkind: Bundle\nmetadata: { name: ${name} }\nspec: { targets: [${targets}], namespace: bench, createNamespace: ifAbsent }\n`;
}

/** One ConfigMap with 200 bytes of data, of which `stamp` is a part. */
export function configMap(name: string, stamp: string): string {
  const filler = "x".repeat(Math.max(0, 200 - stamp.length - "stampfill".length));
  return `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${name} }\ndata: { stamp: "${stamp}", fill: "${filler}" }\n`;
}

/** ConfigMaps `<prefix>-<from>` … in one file. */
export function configMaps(prefix: string, from: number, count: number, stamp: (index: number) => string): string {
  return Array.from({ length: count }, (_, offset) => configMap(`${prefix}-${from + offset}`, stamp(from + offset))).join("---\n");
}

/** Objects per file of the large bundle. */
export const PER_FILE = 100;

/** The large bundle: 1,000 ConfigMaps in ten files. */
export function largeFiles(stamp: (index: number) => string): Record<string, string> {
  const files: Record<string, string> = {};
  for (let file = 0; file < 10; file++) files[`large/objects-${file}.yaml`] = configMaps("large", file * PER_FILE, PER_FILE, stamp);
  return files;
}
