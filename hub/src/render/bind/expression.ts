import type { JsonValue } from "@muster/shared/model";

/** One `${NAME}` or `${NAME:=default}`. */
export interface Expression {
  readonly name: string;
  readonly fallback?: string;
}

/** A text cut into literal pieces and expressions. */
export type Template = readonly (string | Expression)[];

/** A `${…}` that begins like one of ours and is not. The message does not quote it: it may be part of a password. */
export class ExpressionError extends Error {
  /** The expression, or the beginning of it; only for texts that are no secret. */
  readonly excerpt: string;

  constructor(excerpt: string) {
    super("a ${…} expression cannot be read");
    this.excerpt = excerpt;
  }
}

const EXPRESSION = /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::=([^}]*))?\}/y;

/**
 * Reads the expressions of a text; undefined if it has none and needs no change. `$${` stands for a literal `${`.
 * What does not begin with a name (`${1}`, `${{ … }}`, `$(NAME)`, `$NAME`) is not ours and stays. Throws an
 * ExpressionError for what begins with one and goes on otherwise (`${NAME:-x}`, `${A.B}`, `${ NAME }`).
 */
export function parseTemplate(text: string): Template | undefined {
  let dollar = text.indexOf("${");
  if (dollar < 0) return undefined;
  const parts: (string | Expression)[] = [];
  let literal = "";
  let at = 0;
  for (; dollar >= 0; dollar = text.indexOf("${", at)) {
    if (dollar > at && text[dollar - 1] === "$") {
      // `$${NAME}`: the first dollar goes, the rest is literal.
      literal += `${text.slice(at, dollar - 1)}\${`;
      at = dollar + 2;
      continue;
    }
    EXPRESSION.lastIndex = dollar;
    const match = EXPRESSION.exec(text);
    if (!match?.[1]) {
      if (/^\$\{\s*[A-Za-z_]/.test(text.slice(dollar, dollar + 80))) throw new ExpressionError(excerpt(text, dollar));
      literal += text.slice(at, dollar + 2);
      at = dollar + 2;
      continue;
    }
    literal += text.slice(at, dollar);
    if (literal !== "") parts.push(literal);
    literal = "";
    parts.push(match[2] === undefined ? { name: match[1] } : { name: match[1], fallback: match[2] });
    at = dollar + match[0].length;
  }
  literal += text.slice(at);
  if (literal !== "" || parts.length === 0) parts.push(literal);
  return parts;
}

/** What to tell a person: where in the value the expression stands, and what it is unless that may be secret. */
export function describeExpressionError(error: ExpressionError, value: JsonValue, maySayText: boolean): string {
  const where = pointerOf(value, "");
  return `cannot read ${maySayText ? error.excerpt : "the ${…} expression"}${where === undefined ? "" : ` at ${where}`}`;
}

/** JSON pointer of the first text that cannot be read. */
function pointerOf(value: JsonValue, pointer: string): string | undefined {
  if (typeof value === "string") return isReadable(value) ? undefined : pointer;
  if (typeof value !== "object" || value === null) return undefined;
  for (const [key, item] of Object.entries(value)) {
    const found = pointerOf(item, `${pointer}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

function isReadable(text: string): boolean {
  try {
    parseTemplate(text);
    return true;
  } catch {
    return false;
  }
}

function excerpt(text: string, at: number): string {
  const close = text.indexOf("}", at);
  return text.slice(at, close < 0 ? at + 40 : Math.min(close + 1, at + 40));
}
