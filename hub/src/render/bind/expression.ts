/** One `${NAME}` or `${NAME:=default}`. */
export interface Expression {
  readonly name: string;
  readonly fallback?: string;
}

/** A text cut into literal pieces and expressions. */
export type Template = readonly (string | Expression)[];

/** A `${…}` that begins like one of ours and is not. */
export class ExpressionError extends Error {}

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

function excerpt(text: string, at: number): string {
  const close = text.indexOf("}", at);
  return text.slice(at, close < 0 ? at + 40 : Math.min(close + 1, at + 40));
}
