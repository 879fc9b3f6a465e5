import { isJsonObject, type JsonObject, type JsonValue } from "@muster/shared/model";
import type { FieldKeys } from "./field-set-parts.ts";

/** Longest value that is told, in characters; `…` marks the cut. */
const MAX_VALUE = 120;

/** What stands before the first difference of two long values, in characters. */
const LEAD = 30;

/** Stands for what may be secret. No digest either: short secrets can be guessed from it. */
const MASK = "***";

/** Kinds that hold secrets, also those of other tools: SealedSecret, ExternalSecret, PushSecret. */
const SECRET_KIND = /secret|credential/i;

const SECRET_WORD =
  /pass(?:wo?r?d|phrase|code)|secret|token|credential|api-?_?key|(?:private|access|signing|encryption)-?_?key|auth(?:orization)?$|cookie/i;
/** Of kubectl, and whatever else keeps a whole manifest in an annotation. */
const WHOLE_MANIFEST = /last-applied|last-configuration/i;
/** A text with a secret in it: a flag, a line of a file, a key, a token. */
const SECRET_TEXT = new RegExp(
  `(?:${SECRET_WORD.source.replace("$", "")})[^\\s=:]{0,40}["']?\\s*[=:]|-----BEGIN|\\bey[JK][\\w-]{8,}|\\b(?:Bearer|Basic)\\s`,
  "i",
);
/** `https://user:password@host`. */
const USER_INFO = /([a-z][a-z0-9+.-]*:\/\/)[^\s/@"']+@/gi;

/** What Git wants of one field, and what there is. */
type Values<T> = { readonly wanted: T; readonly got: T };

/**
 * Values of one field as JSON for people: cut, and masked where they may be secret; undefined where there is none. Of an object that holds
 * secrets, and below a key that sounds like one, nothing is told but that there is a value.
 */
export function toldValues({ wanted, got }: Values<JsonValue | undefined>, kind: string, keys: FieldKeys): Values<string | undefined> {
  const isSecret = SECRET_KIND.test(kind) || keys.some(soundsSecret);
  const tell = (value: JsonValue | undefined) => {
    if (value === undefined) return undefined;
    return isSecret && typeof value !== "boolean" ? MASK : JSON.stringify(masked(value)).toWellFormed();
  };
  const [a, b] = [tell(wanted), tell(got)];
  // Of two long texts, where they differ is what is worth telling.
  const from =
    a !== undefined && b !== undefined && Math.max(a.length, b.length) > MAX_VALUE ? Math.max(0, firstDifference(a, b) - LEAD) : 0;
  return { wanted: cut(a, from), got: cut(b, from) };
}

function cut(text: string | undefined, from: number): string | undefined {
  if (text === undefined || (from === 0 && text.length <= MAX_VALUE)) return text;
  const rest = from === 0 ? text : `…${text.slice(from)}`;
  return (rest.length <= MAX_VALUE ? rest : `${rest.slice(0, MAX_VALUE - 1)}…`).toWellFormed();
}

function firstDifference(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at += 1;
  return at;
}

/** A key of a field set: the name of a member, or what an item of a list is found by. */
function soundsSecret(key: string): boolean {
  return isSecretName(key.slice(2));
}

function isSecretName(name: string): boolean {
  return SECRET_WORD.test(name) || WHOLE_MANIFEST.test(name);
}

function masked(value: JsonValue): JsonValue {
  if (typeof value === "string") return SECRET_TEXT.test(value) ? MASK : value.replaceAll(USER_INFO, `$1${MASK}@`);
  if (Array.isArray(value)) return value.map(masked);
  if (!isJsonObject(value)) return value;
  // `{name: DB_PASSWORD, value: …}` of an environment.
  const isNamedSecret = typeof value["name"] === "string" && isSecretName(value["name"]);
  const result: JsonObject = {};
  for (const [key, inner] of Object.entries(value)) {
    const hide = typeof inner !== "boolean" && (isSecretName(key) || (isNamedSecret && key !== "name"));
    result[key] = hide ? MASK : masked(inner);
  }
  return result;
}
