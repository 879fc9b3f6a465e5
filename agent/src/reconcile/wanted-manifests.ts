import type { Manifest, ObjectRefText } from "@muster/shared/model";
import type { ManifestLine } from "@muster/shared/wire";

/** Finds objects of a bundle as the slice wants them. Of a bundle that nobody asks for, nothing is kept. */
export function createWantedManifests(
  linesOf: (bundle: string) => readonly ManifestLine[],
): (bundle: string, ref: ObjectRefText) => Manifest | undefined {
  const byLines = new WeakMap<readonly ManifestLine[], ReadonlyMap<ObjectRefText, ManifestLine>>();
  return (bundle, ref) => {
    const lines = linesOf(bundle);
    let byRef = byLines.get(lines);
    if (!byRef) {
      byRef = new Map(lines.map((line) => [line.ref, line]));
      byLines.set(lines, byRef);
    }
    return byRef.get(ref)?.manifest;
  };
}
