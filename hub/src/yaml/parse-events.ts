import { type Event, parseEvents as parse, YAMLException } from "js-yaml";
import { countSeparators, refuseTooManySeparators } from "./count-separators.ts";
import type { YamlLimits } from "./yaml-limits.ts";
import { positionAt, YamlProblem } from "./yaml-problem.ts";

/**
 * What may be parsed again and again for the sake of {@link parseEvents}' leniency: three quarters of a second. In
 * characters; a separator takes as long as eight.
 */
const MAX_RETRIED = 16 * 1024 * 1024;
const PER_SEPARATOR = 7;

/** What libyaml takes for line breaks and js-yaml, as YAML 1.2 says, does not. */
const OLD_LINE_BREAK = /[\u0085\u2028\u2029]/;

/** Events, and the text that their offsets refer to. */
export interface ParsedText {
  readonly events: readonly Event[];
  readonly source: string;
  /** Line and column, from 1, in the original text. */
  locate(offset: number): { line: number; column: number };
}

/**
 * js-yaml's parser, made to take what Go's takes: in flow collections and quoted texts, continued lines need no
 * indentation there (`args: [` … `]` with the bracket at the first column is common). White space at the start of such
 * a line means nothing, so it is added where the parser asks for it. Throws a YamlProblem with an offset into the
 * original text.
 */
export function parseEvents(text: string, { maxDepth, maxNodes }: Pick<YamlLimits, "maxDepth" | "maxNodes">): ParsedText {
  refuseTooManySeparators(text, maxNodes);
  const lineBreak = OLD_LINE_BREAK.exec(text);
  if (lineBreak) {
    const code = lineBreak[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    throw new YamlProblem(
      "YAML_SYNTAX",
      `U+${code} ends a line for some YAML readers and not for others; write it as an escape in double quotes`,
      lineBreak.index,
    );
  }
  const indented = new IndentedText(text);
  const retries = new RetryBudget(text);
  for (;;) {
    const { source } = indented;
    try {
      return { events: parse(source, { maxDepth }), source, locate: (offset) => positionAt(text, indented.originalOffset(offset)) };
    } catch (error) {
      if (!(error instanceof YAMLException)) throw error;
      const offset = indented.originalOffset(error.mark?.position ?? 0);
      // parser.ts, readFlowScalarBreak and skipFlowSeparationSpace: the only places with this reason.
      if (error.reason === "deficient indentation" && retries.spend(source.length)) {
        indented.indentLineAt(offset);
        continue;
      }
      // A bracket that is never closed shows at the end only; where it first looked wrong helps more.
      const end = text.trimEnd().length;
      // It names its option when the nesting is too deep (parseNode); it has no codes.
      throw new YamlProblem(
        error.reason.includes("maxDepth") ? "YAML_LIMIT" : "YAML_SYNTAX",
        withoutText(error.reason),
        offset < end ? offset : Math.min(indented.first || end, Math.max(0, end - 1)),
      );
    }
  }
}

/** How often a text may be parsed again. */
class RetryBudget {
  readonly #text: string;
  #separators: number | undefined;
  #spent = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** Pays for one more parse of this many characters; false if it is too much. */
  spend(characters: number): boolean {
    this.#separators ??= countSeparators(this.#text);
    this.#spent += characters + PER_SEPARATOR * this.#separators;
    return this.#spent <= MAX_RETRIED;
  }
}

/** Two of its reasons quote what may well be a password that begins with `!`. */
function withoutText(reason: string): string {
  return reason.replace(/^(tag name cannot contain such characters|undeclared tag handle).*/s, "$1");
}

/** A text with spaces put in front of some of its lines. */
class IndentedText {
  readonly #text: string;
  readonly #indent: string;
  /** Line starts in the original text, ascending. */
  readonly #starts: number[] = [];
  source: string;
  /** Offset that was indented first. */
  first = 0;

  constructor(text: string) {
    this.#text = text;
    this.source = text;
    this.#indent = " ".repeat(deepestIndent(text) + 1);
  }

  indentLineAt(offset: number): void {
    this.first ||= offset;
    const start = Math.max(this.#text.lastIndexOf("\n", offset - 1), this.#text.lastIndexOf("\r", offset - 1)) + 1;
    const at = this.#starts.findIndex((known) => known > start);
    const index = at < 0 ? this.#starts.length : at;
    this.source =
      this.source.slice(0, start + index * this.#indent.length) + this.#indent + this.source.slice(start + index * this.#indent.length);
    this.#starts.splice(index, 0, start);
  }

  originalOffset(offset: number): number {
    let shift = 0;
    for (const start of this.#starts) {
      if (start + shift >= offset) break;
      // Inside of what was put in, the start of the line is meant.
      shift += Math.min(this.#indent.length, offset - start - shift);
    }
    return offset - shift;
  }
}

function deepestIndent(text: string): number {
  let deepest = 0;
  for (const { 0: spaces } of text.matchAll(/^[ -]+/gm)) deepest = Math.max(deepest, spaces.length);
  return deepest;
}
