import { isJsonObject, type JsonValue, type Manifest } from "@muster/shared/model";

/** Paths that are told at most. */
const MAX_PATHS = 20;

/** What the server writes by itself with every change. */
const BOOKKEEPING = new Set([".metadata.managedFields", ".metadata.resourceVersion", ".metadata.generation", ".status"]);

/** Where two states of one object differ, for people: `.spec.replicas`. Lists are compared as a whole; values never appear. */
export function changedPaths(before: Manifest, after: Manifest): string[] {
  const paths: string[] = [];
  const walk = (a: JsonValue | undefined, b: JsonValue | undefined, at: string): void => {
    if (BOOKKEEPING.has(at) || paths.length === MAX_PATHS) return;
    if (isJsonObject(a) && isJsonObject(b)) {
      for (const key of [...new Set([...Object.keys(a), ...Object.keys(b)])].sort()) walk(a[key], b[key], `${at}.${key}`);
    } else if (JSON.stringify(a) !== JSON.stringify(b)) paths.push(at);
  };
  walk(before, after, "");
  return paths;
}
