import { type ErrorCode, type InputPosition, isErrorCode } from "@muster/shared/errors";
import { API_VERSION, BUNDLE_NAME_PATTERN, CLUSTER_NAME_PATTERN, isJsonObject, type JsonObject } from "@muster/shared/model";
import type { z } from "zod";
import { type PlacedDocument, PlacedProblem, readPlaced } from "../yaml/placed-document.ts";
import { type DocumentText, splitDocuments } from "../yaml/split-documents.ts";
import { DEFAULT_YAML_LIMITS } from "../yaml/yaml-limits.ts";
import { type BundleDocument, type ClusterDocument, DOCUMENT_SCHEMAS, type DocumentKind, type FleetDocument } from "./document-schemas.ts";

/** What a file that holds documents of ours may cost: it is read at once, and whoever may write to Git may write one. */
const LIMITS = { ...DEFAULT_YAML_LIMITS, maxBytes: 512 * 1024, maxNodes: 100_000, maxAliasNodes: 10_000, maxDepth: 64 };

/** A sound document with its place. */
export type ReadDocument =
  | { readonly kind: "Fleet"; readonly document: FleetDocument; readonly at: InputPosition }
  | { readonly kind: "Cluster"; readonly document: ClusterDocument; readonly at: InputPosition }
  | {
      readonly kind: "Bundle";
      readonly document: BundleDocument;
      readonly at: InputPosition;
      readonly positionOf: (path: readonly (string | number)[]) => InputPosition;
    };

/** Something wrong in a file, and the document that it holds back, if its kind and name can be told. */
export interface DocumentProblem {
  readonly code: ErrorCode;
  readonly message: string;
  readonly at: InputPosition;
  readonly kind?: DocumentKind;
  readonly name?: string;
}

/** What one file holds. */
export interface ReadFile {
  readonly documents: readonly ReadDocument[];
  readonly problems: readonly DocumentProblem[];
}

/** Reads and checks the documents of one file. Pure: the same bytes give the same answer. */
export function readDocuments(bytes: Uint8Array, file: string, source: string): ReadFile {
  const at = { file, source };
  const refused = (code: ErrorCode, message: string): ReadFile => ({ documents: [], problems: [{ code, message, at }] });
  if (bytes.length > LIMITS.maxBytes) return refused("YAML_LIMIT", `The file has ${bytes.length} bytes; ${LIMITS.maxBytes} are allowed`);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return refused("YAML_SYNTAX", "The file is not UTF-8 text");
  }
  const documents: ReadDocument[] = [];
  const problems: DocumentProblem[] = [];
  for (const part of splitDocuments(text)) {
    const result = readPart(part, at);
    documents.push(...result.documents);
    problems.push(...result.problems);
  }
  return { documents, problems };
}

function readPart(part: DocumentText, at: InputPosition): ReadFile {
  const documents: ReadDocument[] = [];
  const problems: DocumentProblem[] = [];
  try {
    for (const document of readPlaced(part, LIMITS)) {
      if (document.value === null) continue;
      const result = readDocument(document, at);
      if ("kind" in result) documents.push(result);
      else problems.push(...result.problems);
    }
  } catch (error) {
    if (!(error instanceof PlacedProblem)) throw error;
    const { code, message, place } = error;
    problems.push({ code, message, at: { ...at, ...place }, ...identityAbove(part, place.line - part.line) });
  }
  return { documents, problems };
}

function readDocument(document: PlacedDocument, at: InputPosition): ReadDocument | { readonly problems: DocumentProblem[] } {
  const { value, inexact, placeOf } = document;
  const start = { ...at, ...placeOf([]) };
  const refused = (code: ErrorCode, message: string, position = start) => ({
    problems: [{ code, message, at: position, ...identityOf(value) }],
  });
  if (!isJsonObject(value)) return refused("FLEET_UNKNOWN_KIND", "The document is not a map");
  const { apiVersion, kind } = value;
  if (apiVersion !== API_VERSION || typeof kind !== "string" || !Object.hasOwn(DOCUMENT_SCHEMAS, kind)) {
    const what = `${String(apiVersion ?? "no apiVersion")} ${String(kind ?? "without a kind")}`;
    return {
      problems: [
        {
          code: "FLEET_UNKNOWN_KIND",
          message: `${what} is not a document of Muster (${API_VERSION}, Fleet, Cluster or Bundle)`,
          at: start,
        },
      ],
    };
  }
  if (inexact) {
    const message = `The integer ${inexact.text} is too large to be kept exactly; quote it if it is meant as text`;
    return refused("FLEET_INVALID", message, { ...at, ...inexact.place });
  }
  const positionOf = (path: readonly (string | number)[]): InputPosition => ({ ...at, ...placeOf(path) });
  const checked = DOCUMENT_SCHEMAS[kind as DocumentKind].safeParse(value);
  if (!checked.success)
    return {
      problems: checked.error.issues
        .flatMap((issue) => toProblems(issue, positionOf))
        .map((problem) => ({ ...problem, ...identityOf(value) })),
    };
  return { kind, document: checked.data, at: start, positionOf } as ReadDocument;
}

function toProblems(issue: z.core.$ZodIssue, positionOf: (path: readonly (string | number)[]) => InputPosition): DocumentProblem[] {
  const path = issue.path.map((part) => (typeof part === "symbol" ? String(part) : part));
  const where = path.join(".");
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      code: "FLEET_UNKNOWN_FIELD" as const,
      message: `unknown field ${JSON.stringify(key)}${where ? ` in ${where}` : ""}`,
      at: positionOf([...path, key]),
    }));
  }
  if (issue.code === "invalid_key")
    return issue.issues.map((inner) => ({ code: "FLEET_INVALID" as const, message: `${where} ${inner.message}`, at: positionOf(path) }));
  const custom = issue.code === "custom" ? (issue.params?.["code"] as string | undefined) : undefined;
  const code: ErrorCode =
    custom !== undefined && isErrorCode(custom)
      ? custom
      : where.includes("matchExpressions") || where.includes("matchLabels")
        ? "FLEET_SELECTOR"
        : "FLEET_INVALID";
  return [{ code, message: where === "" ? issue.message : `${where}: ${issue.message}`, at: positionOf(path) }];
}

const NAME_PATTERNS: Readonly<Record<DocumentKind, RegExp | undefined>> = {
  Cluster: CLUSTER_NAME_PATTERN,
  Bundle: BUNDLE_NAME_PATTERN,
  Fleet: undefined,
};

/**
 * Kind and name of a document that is otherwise not sound: enough to hold back just it. A name that is no name says nothing: whose
 * document it is meant to be is not known then, and everything is kept (ADR 0003).
 */
function identityOf(value: unknown): Pick<DocumentProblem, "kind" | "name"> {
  if (!isJsonObject(value)) return {};
  const { apiVersion, kind, metadata } = value;
  if (apiVersion !== API_VERSION || typeof kind !== "string" || !Object.hasOwn(DOCUMENT_SCHEMAS, kind)) return {};
  const name = isJsonObject(metadata) ? metadata["name"] : undefined;
  if (typeof name !== "string" || !NAME_PATTERNS[kind as DocumentKind]?.test(name)) return {};
  return { kind: kind as DocumentKind, name };
}

/** Keys at the first column, which a cut may stand before. */
const TOP_LEVEL = /^[A-Za-z]/;
/** A line that may name a document, or separate two, however it is indented or quoted. Too wide on purpose: that only costs precision. */
const MAY_NAME = /^\s*(?:["']?(?:metadata|kind|apiVersion)["']?\s*:|---|\.\.\.)/;
/** Cuts that are tried. */
const MAX_CUTS = 8;

/** The identity of a document that has a mistake at a line (from 1): what stands above the mistake can be read, if it is whole. */
function identityAbove(part: DocumentText, line: number): Pick<DocumentProblem, "kind" | "name"> {
  const lines = part.text.split("\n");
  const starts = lines.flatMap((text, index) => (index < line && TOP_LEVEL.test(text) ? [index] : [])).slice(-MAX_CUTS);
  for (const start of starts.reverse()) {
    const head = readOrNothing(lines.slice(0, start).join("\n"));
    if (!head) continue;
    // What stands below the mistake may be the one that is meant, or the beginning of another document.
    return lines.slice(start).some((text) => MAY_NAME.test(text)) ? {} : identityOf(head);
  }
  return {};
}

function readOrNothing(text: string): JsonObject | undefined {
  try {
    const [document, second] = readPlaced({ text, line: 0 }, LIMITS);
    return isJsonObject(document?.value) && !second ? document.value : undefined;
  } catch (error) {
    if (error instanceof PlacedProblem) return undefined;
    throw error;
  }
}
