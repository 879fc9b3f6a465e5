import { CodedError } from "@muster/shared/errors";
import type { ApiClient } from "./api-client.ts";

/** A name that nobody knows gets a closest one beside it, if there is one. */
export async function suggesting<T>(
  api: ApiClient,
  names: { readonly name?: string; readonly cluster?: string; readonly bundle?: string },
  ask: () => Promise<T>,
): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== "API_NOT_FOUND") throw error;
    const asked = [names.cluster, names.bundle, ...(names.name?.split("/") ?? [])].filter((name) => name !== undefined);
    const known = await Promise.all(["/clusters", "/bundles"].map((path) => api.list<{ name: string }>(path))).catch(() => []);
    const all = known.flat().map((item) => item.name);
    const near = asked.filter((name) => !all.includes(name)).flatMap((name) => nearest(name, all) ?? []);
    if (near.length === 0) throw error;
    throw new CodedError(error.code, error.message, {
      cause: error,
      data: { ...error.data, detail: `Did you mean ${near.join(" and ")}?` },
    });
  }
}

/** The known name that takes the fewest changes, if they are few for its length. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: { name: string; distance: number } | undefined;
  for (const candidate of known) {
    const distance = editDistance(name, candidate);
    if (!best || distance < best.distance) best = { name: candidate, distance };
  }
  return best && best.distance <= Math.max(1, Math.floor(name.length / 3)) ? best.name : undefined;
}

/** Levenshtein, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
