import { type Event, YAMLException, parseEvents as parse } from "js-yaml";
import { YamlProblem } from "./yaml-problem.ts";

/** Characters that may be parsed again and again for the sake of {@link parseEvents}' leniency. */
const MAX_RETRIED_CHARACTERS = 64 * 1024 * 1024;

/** What libyaml takes for line breaks and js-yaml, as YAML 1.2 says, does not. */
const OLD_LINE_BREAK = /[\u0085\u2028\u2029]/;

/** Events, and the text that their offsets refer to; it has the lines of the original. */
export interface ParsedText {
  readonly events: readonly Event[];
  readonly source: string;
}

/**
 * js-yaml's parser, made to take what Go's takes: in flow collections and quoted texts, continued lines need no
 * indentation there (`args: [` … `]` with the bracket at the first column is common). White space at the start of such
 * a line means nothing, so it is added where the parser asks for it. Throws a YamlProblem.
 */
export function parseEvents(text: string, maxDepth: number): ParsedText {
  const lineBreak = OLD_LINE_BREAK.exec(text);
  if (lineBreak) {
    const code = lineBreak[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    throw new YamlProblem("YAML_SYNTAX", `U+${code} ends a line for some YAML readers and not for others; write it as an escape in double quotes`, lineBreak.index);
  }
  let source = text;
  let retried = 0;
  let indent: string | undefined;
  for (;;) {
    try {
      return { events: parse(source, { maxDepth }), source };
    } catch (error) {
      if (!(error instanceof YAMLException)) throw error;
      const position = error.mark?.position ?? 0;
      retried += source.length;
      // parser.ts, readFlowScalarBreak and skipFlowSeparationSpace: the only places with this reason.
      if (error.reason !== "deficient indentation" || retried > MAX_RETRIED_CHARACTERS) {
        // It names its option when the nesting is too deep (parseNode); it has no codes.
        throw new YamlProblem(error.reason.includes("maxDepth") ? "YAML_LIMIT" : "YAML_SYNTAX", error.reason, position);
      }
      indent ??= " ".repeat(deepestIndent(source) + 1);
      const lineStart = Math.max(source.lastIndexOf("\n", position - 1), source.lastIndexOf("\r", position - 1)) + 1;
      source = source.slice(0, lineStart) + indent + source.slice(lineStart);
    }
  }
}

function deepestIndent(text: string): number {
  let deepest = 0;
  for (const { 0: spaces } of text.matchAll(/^[ -]+/gm)) deepest = Math.max(deepest, spaces.length);
  return deepest;
}
