import { DriftMode, type Manifest, type ObjectRefText } from "@muster/shared/model";
import type { ManifestLine } from "@muster/shared/wire";
import { annotationOf } from "./prune-policy.ts";

/** On an object in Git: its drift mode in place of the bundle's. Somebody who edits the live object cannot set it. */
export const DRIFT_ANNOTATION = "muster.dev/drift";

/** What an object says of its own drift: a mode, or a word that means nothing. */
export type DriftWord = DriftMode | { readonly misspelt: string };

/** undefined: the object says nothing. */
function driftWordOf(object: Manifest): DriftWord | undefined {
  const word = annotationOf(object, DRIFT_ANNOTATION);
  if (word === undefined) return undefined;
  return (Object.values(DriftMode) as string[]).includes(word) ? (word as DriftMode) : { misspelt: word };
}

const known = new WeakMap<readonly ManifestLine[], ReadonlyMap<ObjectRefText, DriftWord>>();

/** Objects that say something of their own drift. Asked again for the same lines, it looks at none of them. */
export function driftWords(lines: readonly ManifestLine[]): ReadonlyMap<ObjectRefText, DriftWord> {
  const found = known.get(lines);
  if (found) return found;
  const words = new Map<ObjectRefText, DriftWord>();
  for (const { ref, head } of lines) {
    const word = driftWordOf(head);
    if (word !== undefined) words.set(ref, word);
  }
  known.set(lines, words);
  return words;
}

/** A misspelt `off` must not be overwritten, and a misspelt `correct` must not be hidden: such an object's drift is told. */
export function modeOfWord(word: DriftWord): DriftMode {
  return typeof word === "object" ? DriftMode.Report : word;
}
