import { YamlProblem } from "./yaml-problem.ts";

/**
 * Refuses a document with more separators than values are allowed, before the parser makes an event of each: a chart
 * that repeats `1,` thirty million times must not cost the hub its memory. There is no value without a separator but the
 * first, and few events (three at most) with one; nothing is refused but what has too many values, or a text in it that
 * looks so. Throws a YamlProblem.
 */
export function refuseTooManySeparators(text: string, maxNodes: number): void {
  if (text.length <= maxNodes) return;
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    if (isSeparator(text, at)) count += 1;
    if (count > maxNodes) throw new YamlProblem("YAML_LIMIT", `more than ${maxNodes} values in one document`, at);
  }
}

/** Number of separators in a text: how much there is to parse in it. */
export function countSeparators(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at++) if (isSeparator(text, at)) count += 1;
  return count;
}

function isSeparator(text: string, at: number): boolean {
  switch (text.charCodeAt(at)) {
    case 0x2c: // ,
      return true;
    case 0x5b: // [
      return text.charCodeAt(at + 1) !== 0x5d;
    case 0x7b: // {
      return text.charCodeAt(at + 1) !== 0x7d;
    case 0x3a: // : not those in times, addresses and images
      return endsKey(text.charCodeAt(at - 1), text.charCodeAt(at + 1));
    case 0x2d: // -
    case 0x3f: // ?
      return isBlank(text.charCodeAt(at + 1));
    default:
      return false;
  }
}

/** A colon ends a key before white space; in flow collections also before a value in brackets or quotes, and after such a key. */
function endsKey(before: number, after: number): boolean {
  return isBlank(after) || FLOW.has(after) || FLOW.has(before) || isBlank(before);
}

const FLOW = new Set([..."\"',[]{}"].map((character) => character.charCodeAt(0)));

function isBlank(code: number): boolean {
  return code <= 0x20 || Number.isNaN(code);
}
