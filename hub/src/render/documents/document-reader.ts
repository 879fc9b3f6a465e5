import { hash } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { CodedError, type InputPosition } from "@muster/shared/errors";
import type { JsonValue } from "@muster/shared/model";
import { Composer } from "../../yaml/compose.ts";
import { parseEvents } from "../../yaml/parse-events.ts";
import { type DocumentText, splitDocuments } from "../../yaml/split-documents.ts";
import { DEFAULT_YAML_LIMITS, type YamlLimits } from "../../yaml/yaml-limits.ts";
import { positionAt, YamlProblem } from "../../yaml/yaml-problem.ts";
import { ByteLru } from "../cache/byte-lru.ts";

/** One document of a file. Equal texts give the same `value` object, so what is derived from it can be cached by identity. */
export interface YamlDocument {
  /** Never changed by anybody: it is shared. null for an empty document. */
  readonly value: JsonValue;
  /** From 1. */
  readonly line: number;
  /** An integer in it that a JavaScript number cannot hold. */
  readonly inexact?: { readonly text: string; readonly line: number };
  /** Its text with the marker and the comments above it. */
  readonly text: string;
  /** Of memory, about. */
  readonly bytes: number;
}

type CachedPart = readonly (Omit<YamlDocument, "text" | "bytes"> & { readonly nodes: number; readonly aliasNodes: number })[];

/** Milliseconds that a large file may hold up everything else in the process. */
const TURN_MS = 10;

/** Bytes of an empty map in a list; most values take less. */
const MEMORY_PER_NODE = 64;

/**
 * Reads YAML as Go does and remembers documents by their text: of a file with one changed document, one is parsed.
 *
 * What is left of differences, found by comparing with the real helm (go-yaml.rig.test.ts): refused here and taken by Go are
 * duplicate keys, `{a: 1}# comment` without a space, text after a one-line `--- {…}` document, and raw U+0085, U+2028 and
 * U+2029; taken here and refused by Go are the escape `\/`, `?` inside of plain flow scalars and a tab after `- `. A comma
 * directly after a tag (`[!!null, x]`) ends the tag here and belongs to it in Go.
 */
export class DocumentReader {
  readonly #parts: ByteLru<CachedPart>;
  readonly #limits: YamlLimits;

  /** `cacheBytes` bounds what is remembered; default 256 MiB. */
  constructor(cacheBytes = 256 * 1024 * 1024, limits: Partial<YamlLimits> = {}) {
    this.#parts = new ByteLru(cacheBytes);
    this.#limits = { ...DEFAULT_YAML_LIMITS, ...limits };
  }

  /**
   * All documents of a file that are not empty. Throws YAML_SYNTAX or YAML_LIMIT with file, line and column.
   * `maxBytes` replaces the limit for what a tool wrote, whose size is limited elsewhere.
   */
  async read(bytes: Uint8Array, at: InputPosition, maxBytes = this.#limits.maxBytes): Promise<YamlDocument[]> {
    if (bytes.length > maxBytes) throw new CodedError("YAML_LIMIT", `The file has ${bytes.length} bytes; ${maxBytes} are allowed`, { at });
    const text = decode(bytes, at);
    const documents: YamlDocument[] = [];
    const count = { nodes: 0, aliasNodes: 0 };
    let turn = performance.now();
    for (const part of splitDocuments(text)) {
      for (const document of this.#part(part, at)) {
        count.nodes += document.nodes;
        count.aliasNodes += document.aliasNodes;
        if (document.value !== null) documents.push(inFile(document, part));
      }
      this.#checkFile(count, at);
      if (performance.now() - turn > TURN_MS) {
        await nextTurn();
        turn = performance.now();
      }
    }
    return documents;
  }

  #checkFile({ nodes, aliasNodes }: { readonly nodes: number; readonly aliasNodes: number }, at: InputPosition): void {
    const { maxFileNodes, maxFileAliasNodes } = this.#limits;
    if (aliasNodes > maxFileAliasNodes)
      throw new CodedError("YAML_LIMIT", `Aliases expand to more than ${maxFileAliasNodes} values`, { at });
    if (nodes > maxFileNodes) throw new CodedError("YAML_LIMIT", `More than ${maxFileNodes} values in one file`, { at });
  }

  #part(part: DocumentText, at: InputPosition): CachedPart {
    const key = hash("sha256", part.text, "base64");
    const known = this.#parts.get(key);
    if (known) return known;
    const parsed = parsePart(part, at, this.#limits);
    this.#parts.set(
      key,
      parsed,
      parsed.reduce((sum, { nodes }) => sum + nodes * MEMORY_PER_NODE, 200 + part.text.length),
    );
    return parsed;
  }
}

/** A document as it stands in its file. */
function inFile({ value, line, inexact, nodes }: CachedPart[number], part: DocumentText): YamlDocument {
  return {
    value,
    line: part.line + line,
    text: part.text,
    bytes: part.text.length + nodes * MEMORY_PER_NODE,
    ...(inexact && { inexact: { text: inexact.text, line: part.line + inexact.line } }),
  };
}

/** Text of a file that must be UTF-8; a byte order mark is dropped. */
function decode(bytes: Uint8Array, at: InputPosition): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new CodedError("YAML_SYNTAX", "The file is not UTF-8 text", { at, cause: error });
  }
}

function parsePart(part: DocumentText, at: InputPosition, limits: YamlLimits): CachedPart {
  let locate: (offset: number) => { line: number; column: number } = (offset) => positionAt(part.text, offset);
  try {
    const parsed = parseEvents(part.text, limits);
    ({ locate } = parsed);
    return new Composer(parsed.events, parsed.source, limits).documents().map(({ offset, inexact, ...document }) => ({
      ...document,
      line: locate(offset).line,
      ...(inexact && { inexact: { text: inexact.text, line: locate(inexact.offset).line } }),
    }));
  } catch (error) {
    if (!(error instanceof YamlProblem)) throw error;
    const { line, column } = locate(error.offset);
    throw new CodedError(error.code, sentence(error.message), { at: { ...at, line: part.line + line, column } });
  }
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
