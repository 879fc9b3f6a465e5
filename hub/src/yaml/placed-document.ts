import { isJsonObject, type JsonValue } from "@muster/shared/model";
import { Composer, type Places } from "./compose.ts";
import { parseEvents } from "./parse-events.ts";
import type { DocumentText } from "./split-documents.ts";
import type { YamlLimits } from "./yaml-limits.ts";
import { positionAt, YamlProblem } from "./yaml-problem.ts";

/** Line and column, from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** A document that knows where in its file everything stands. */
export interface PlacedDocument {
  readonly value: JsonValue;
  /** An integer in it that a JavaScript number cannot hold. */
  readonly inexact?: { readonly text: string; readonly place: Place };
  /** Where a path's key or item stands; of a path that is not there, the nearest thing above it. */
  placeOf(path: readonly (string | number)[]): Place;
}

/** Why a document cannot be read, and where. */
export class PlacedProblem extends Error {
  readonly code: YamlProblem["code"];
  readonly place: Place;

  constructor(problem: YamlProblem, place: Place) {
    super(problem.message);
    this.code = problem.code;
    this.place = place;
  }
}

/** Reads a part of a file as Go reads it. Throws a PlacedProblem. */
export function readPlaced(part: DocumentText, limits: YamlLimits): PlacedDocument[] {
  let locate: (offset: number) => Place = (offset) => positionAt(part.text, offset);
  const inFile = (offset: number): Place => {
    const { line, column } = locate(offset);
    return { line: part.line + line, column };
  };
  const places: Places = new WeakMap();
  try {
    const parsed = parseEvents(part.text, limits);
    ({ locate } = parsed);
    return new Composer(parsed.events, parsed.source, limits, places).documents().map(({ value, offset, inexact }) => ({
      value,
      ...(inexact && { inexact: { text: inexact.text, place: inFile(inexact.offset) } }),
      placeOf: (path) => inFile(offsetOf(value, path, places) ?? offset),
    }));
  } catch (error) {
    if (!(error instanceof YamlProblem)) throw error;
    throw new PlacedProblem(error, inFile(error.offset));
  }
}

function offsetOf(root: JsonValue, path: readonly (string | number)[], places: Places): number | undefined {
  let value: JsonValue | undefined = root;
  let offset: number | undefined;
  for (const step of path) {
    if (!isJsonObject(value) && !Array.isArray(value)) break;
    const next = places.get(value)?.get(step);
    if (next === undefined) break;
    offset = next;
    value = (value as Record<string | number, JsonValue | undefined>)[step];
  }
  return offset;
}
