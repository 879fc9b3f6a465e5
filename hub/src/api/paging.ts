import { CodedError } from "@muster/shared/errors";

/** One page of a list. */
export interface Page<T> {
  readonly items: readonly T[];
  /** Pass it as `continue` to get the next page; absent on the last. */
  readonly continue?: string;
  /** Items of the whole list. */
  readonly total: number;
}

/**
 * Keyset paging: the token names the last key that was given, so an insert or removal between two pages neither repeats nor
 * hides anything else. Items must be sorted by their key. Throws API_BAD_REQUEST on a token that is none.
 */
export function pageOf<T>(items: readonly T[], keyOf: (item: T) => string, query: { readonly limit: number; readonly continue?: string | undefined }): Page<T> {
  let start = 0;
  if (query.continue) {
    const after = decodeToken(query.continue);
    start = items.findIndex((item) => keyOf(item) > after);
    if (start < 0) start = items.length;
  }
  const page = items.slice(start, start + query.limit);
  const last = page.at(-1);
  const more = start + page.length < items.length && last !== undefined;
  return { items: page, total: items.length, ...(more && { continue: Buffer.from(`k:${keyOf(last)}`).toString("base64url") }) };
}

function decodeToken(token: string): string {
  const text = Buffer.from(token, "base64url").toString();
  if (!text.startsWith("k:")) throw new CodedError("API_BAD_REQUEST", "The `continue` token is none that this API has given");
  return text.slice(2);
}
