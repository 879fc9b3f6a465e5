import { CodedError, type InputPosition } from "@muster/shared/errors";
import { canonicalJson } from "@muster/shared/wire";
import { describeLoosely } from "../bind/check-object.ts";
import type { RenderedObject } from "../rendered-objects.ts";

/** One render of a chart, to be compared with the first. */
export interface OtherRender {
  readonly objects: readonly RenderedObject[];
  /** Takes out of a text what was changed in the chart for this render. */
  readonly restore?: (text: string) => string;
}

/**
 * Throws RENDER_NONDETERMINISTIC with the objects that differ, and the files that call what may be the reason. Hooks,
 * which are not applied, do not count.
 */
export function requireEqual(
  first: readonly RenderedObject[],
  others: readonly OtherRender[],
  suspects: readonly string[],
  at: InputPosition,
): void {
  const texts = first.map(({ object }) => canonicalJson(object));
  for (const { objects, restore = (text: string) => text } of others) {
    const isEqual = (object: RenderedObject | undefined, text = "") =>
      object !== undefined && restore(canonicalJson(object.object)) === restore(text);
    const differing = first
      .filter((_, index) => !isEqual(objects[index], texts[index]))
      .map(({ object, origin }) => `${describeLoosely(object)} (${origin})`);
    if (differing.length > 0 || objects.length !== first.length) throw nondeterministic(differing, suspects, at);
  }
}

/** RENDER_NONDETERMINISTIC that names objects and files; also for a chart that fails at another time of the day. */
export function nondeterministic(objects: readonly string[], suspects: readonly string[], at: InputPosition): CodedError {
  const named = shorten(objects) || "the number of objects";
  const hint = suspects.length === 0 ? "" : `; look for functions of chance, order and time in ${shorten(suspects)}`;
  return new CodedError("RENDER_NONDETERMINISTIC", `Two renders of the same chart differ in ${named}${hint}`, {
    at,
    data: { objects: objects.slice(0, 10) },
  });
}

function shorten(names: readonly string[]): string {
  return names.slice(0, 10).join(", ") + (names.length > 10 ? ` and ${names.length - 10} more` : "");
}
