import { type GoScalar, GoScalarError, resolveGoScalar } from "./go-scalar.ts";

const TIMESTAMP = /^\d{4}-\d{1,2}-\d{1,2}(?:[Tt ].+)?$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const RESOLVED = /^!!(?:bool|int|float|null|timestamp)$/;

/**
 * What go-yaml makes of a scalar with a tag in its short form (`!!int`; empty for none). A tag that it does not know,
 * `!` too, leaves text. Throws a GoScalarError.
 */
export function resolveTagged(text: string, tag: string, isPlain: boolean): GoScalar {
  if (tag === "") return isPlain ? resolveGoScalar(text) : { value: text, exact: true };
  if (tag === "!!") throw new GoScalarError("a tag has no name");
  if (tag === "!!binary") return { value: decodeBinary(text), exact: true };
  if (!RESOLVED.test(tag)) return { value: text, exact: true };
  const scalar = resolveGoScalar(text);
  // The value is not shown: it may be a secret's.
  if (!fits(scalar, tag, text)) throw new GoScalarError(`the value cannot be read as ${tag}`);
  return scalar;
}

function fits({ value }: GoScalar, tag: string, text: string): boolean {
  switch (tag) {
    case "!!bool":
      return typeof value === "boolean";
    case "!!int":
      return Number.isInteger(value);
    case "!!float":
      return typeof value === "number";
    case "!!null":
      return value === null;
    default:
      return TIMESTAMP.test(text);
  }
}

function decodeBinary(text: string): string {
  const base64 = text.replace(/[\r\n]/g, "");
  if (!BASE64.test(base64)) throw new GoScalarError("a !!binary value is not base64");
  return Buffer.from(base64, "base64").toString("utf8");
}
