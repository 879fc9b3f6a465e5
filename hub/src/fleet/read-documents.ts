import { type ErrorCode, type InputPosition, isErrorCode } from "@muster/shared/errors";
import { API_VERSION } from "@muster/shared/model";
import { type Document, isMap, isScalar, LineCounter, type ParsedNode, parseAllDocuments } from "yaml";
import type { z } from "zod";
import { type BundleDocument, type ClusterDocument, DOCUMENT_SCHEMAS, type DocumentKind, type FleetDocument } from "./document-schemas.ts";

/** Largest file that may hold documents of ours, in bytes. */
const MAX_FILE_BYTES = 1024 * 1024;

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

/** Reads and checks the documents of one file. Pure: the same text gives the same answer. */
export function readDocuments(text: string, file: string, source: string): ReadFile {
  const at = { file, source };
  if (text.length > MAX_FILE_BYTES) {
    return { documents: [], problems: [{ code: "YAML_LIMIT", message: `The file is larger than ${MAX_FILE_BYTES} bytes`, at }] };
  }
  const lines = new LineCounter();
  const documents: ReadDocument[] = [];
  const problems: DocumentProblem[] = [];
  const parsed = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: true, version: "1.2" });
  for (const document of Array.isArray(parsed) ? parsed : []) {
    const result = readDocument(document, lines, at);
    if (!result) continue;
    if ("code" in result) problems.push(result);
    else if (Array.isArray(result)) problems.push(...(result as DocumentProblem[]));
    else documents.push(result as ReadDocument);
  }
  return { documents, problems };
}

function readDocument(
  document: Document.Parsed<ParsedNode>,
  lines: LineCounter,
  at: InputPosition,
): ReadDocument | DocumentProblem | DocumentProblem[] | undefined {
  const place = (offset: number | undefined): InputPosition => {
    if (offset === undefined) return at;
    const { line, col } = lines.linePos(offset);
    return { ...at, line, column: col };
  };
  const [syntax] = document.errors;
  if (syntax) {
    const message = syntax.message.split("\n")[0]?.replace(/ at line \d+, column \d+:?$/, "") ?? "";
    return { code: "YAML_SYNTAX", message, at: place(syntax.pos[0]), ...identity(document) };
  }
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) return undefined;
  const start = place(document.contents.range?.[0]);
  if (!isMap(document.contents)) return { code: "FLEET_UNKNOWN_KIND", message: "The document is not a map", at: start };
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 50 });
  } catch {
    return { code: "YAML_LIMIT", message: "Its anchors expand too far", at: start, ...identity(document) };
  }
  const kind = document.get("kind");
  if (document.get("apiVersion") !== API_VERSION || typeof kind !== "string" || !Object.hasOwn(DOCUMENT_SCHEMAS, kind)) {
    return {
      code: "FLEET_UNKNOWN_KIND",
      message: `${String(document.get("apiVersion") ?? "no apiVersion")} ${String(kind ?? "without a kind")} is not a document of Muster (${API_VERSION}, Fleet, Cluster or Bundle)`,
      at: start,
    };
  }
  const positionOf = (path: readonly (string | number)[]): InputPosition => place(offsetOf(document, path));
  const checked = DOCUMENT_SCHEMAS[kind as DocumentKind].safeParse(value);
  if (!checked.success)
    return checked.error.issues.flatMap((issue) => toProblems(issue, positionOf)).map((problem) => ({ ...problem, ...identity(document) }));
  return { kind, document: checked.data, at: start, positionOf } as ReadDocument;
}

/** Offset of a path's key; of the nearest thing above it that exists. */
function offsetOf(document: Document.Parsed<ParsedNode>, path: readonly (string | number)[]): number | undefined {
  for (let length = path.length; length > 0; length--) {
    const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true);
    if (isMap(parent)) {
      const pair = parent.items.find((item) => isScalar(item.key) && item.key.value === path[length - 1]);
      if (pair && isScalar(pair.key) && pair.key.range) return pair.key.range[0];
    }
    const node = document.getIn(path.slice(0, length), true) as { range?: [number, number, number] } | undefined;
    if (node?.range) return node.range[0];
  }
  return document.contents?.range[0];
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

/** Kind and name of a document that is otherwise not sound: enough to hold back just it. */
function identity(document: Document.Parsed<ParsedNode>): Pick<DocumentProblem, "kind" | "name"> {
  try {
    const kind = document.get("kind");
    const name = document.getIn(["metadata", "name"]);
    if (typeof kind !== "string" || !Object.hasOwn(DOCUMENT_SCHEMAS, kind) || typeof name !== "string") return {};
    return { kind: kind as DocumentKind, name };
  } catch {
    return {};
  }
}
