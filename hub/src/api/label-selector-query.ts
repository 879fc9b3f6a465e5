import { CodedError } from "@muster/shared/errors";
import { type LabelSelector, type SelectorRequirement } from "@muster/shared/model";
import { isLabelKey, isLabelValue } from "../fleet/document-schemas.ts";

/**
 * Parses a selector as kubectl's `-l` takes it: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`, joined by
 * commas. Throws API_BAD_REQUEST.
 */
export function parseLabelSelector(text: string): LabelSelector {
  const requirements = splitOutsideParentheses(text).map((part) => parseRequirement(part.trim(), text));
  return { matchExpressions: requirements };
}

function splitOutsideParentheses(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (const [index, character] of [...text].entries()) {
    if (character === "(") depth += 1;
    if (character === ")") depth -= 1;
    if (character === "," && depth === 0) {
      parts.push(text.slice(start, index));
      start = index + 1;
    }
  }
  parts.push(text.slice(start));
  return parts.filter((part) => part.trim() !== "");
}

function parseRequirement(part: string, whole: string): SelectorRequirement {
  const bad = (why: string) => new CodedError("API_BAD_REQUEST", `The selector ${JSON.stringify(whole)} cannot be read: ${why}`);
  const set = /^(\S+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(part);
  const equal = /^([^=!\s]+)\s*(==|=|!=)\s*(\S*)$/.exec(part);
  const exists = /^(!?)\s*([^=!\s()]+)$/.exec(part);
  let requirement: SelectorRequirement;
  if (set?.[1] && set[2]) requirement = { key: set[1], operator: set[2] === "in" ? "In" : "NotIn", values: (set[3] ?? "").split(",").map((value) => value.trim()) };
  else if (equal?.[1]) requirement = { key: equal[1], operator: equal[2] === "!=" ? "NotIn" : "In", values: [equal[3] ?? ""] };
  else if (exists?.[2]) requirement = { key: exists[2], operator: exists[1] === "!" ? "DoesNotExist" : "Exists" };
  else throw bad(`${JSON.stringify(part)} is no requirement`);
  if (!isLabelKey(requirement.key)) throw bad(`${JSON.stringify(requirement.key)} is no label key`);
  for (const value of requirement.values ?? []) if (!isLabelValue(value)) throw bad(`${JSON.stringify(value)} is no label value`);
  return requirement;
}
