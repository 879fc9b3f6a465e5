import { isJsonObject, type JsonValue } from "../model/index.ts";

/**
 * Canonical JSON: keys sorted by UTF-16 code units (as RFC 8785 sorts them), no white space, strings and numbers as
 * JSON.stringify writes them (which is what RFC 8785 asks for). Equal values give equal bytes on every machine.
 *
 * Undefined members are left out. Throws a TypeError on a number that JSON cannot hold.
 */
export function canonicalJson(value: JsonValue | object): string {
  return write(value as JsonValue);
}

function write(value: JsonValue): string {
  if (typeof value === "number" && !Number.isFinite(value)) throw new TypeError(`JSON cannot hold ${value}`);
  if (Array.isArray(value)) return `[${value.map((item) => write(item)).join(",")}]`;
  if (!isJsonObject(value)) return JSON.stringify(value);
  let text = "";
  for (const key of Object.keys(value).sort()) {
    const member = value[key];
    if (member === undefined) continue;
    text += `${text === "" ? "" : ","}${JSON.stringify(key)}:${write(member)}`;
  }
  return `{${text}}`;
}
