import { CodedError } from "@muster/shared/errors";

/** One page of a list. */
export interface Page<T> {
  readonly items: readonly T[];
  /** Pass it as `continue` to get the next page; absent on the last. */
  readonly continue?: string;
  /** Items of the whole list. */
  readonly total: number;
}

/** Which page. */
export interface PageQuery {
  /** Items on it, from 1. */
  readonly limit: number;
  /** Token of the page before; absent for the first. */
  readonly continue?: string | undefined;
}

/** A list that can be paged. */
export interface Listing<T> {
  /** Its name; a token of one list is not taken by another. */
  readonly name: string;
  readonly items: readonly T[];
  /** Unique in the list. */
  readonly keyOf: (item: T) => string;
  /** Names the process that gave the keys, if another one gives them to other items; its tokens are not taken then. */
  readonly run?: string;
}

/**
 * One page of a list in the order of its keys. The token names the last key that was given, so what comes or goes between two
 * pages neither repeats nor hides anything else. Takes time for every item, but only sorts what is on the page: a first page
 * of 100,000 costs some milliseconds. Throws API_BAD_REQUEST on a token that is none of this list.
 */
export function pageByKey<T>({ name, items, keyOf }: Listing<T>, query: PageQuery): Page<T> {
  const after = query.continue === undefined ? undefined : decodeToken(query.continue, name);
  // One more than asked for, to know whether that is all.
  const wanted = query.limit + 1;
  const enough = wanted * 4;
  let best: { readonly key: string; readonly item: T }[] = [];
  let worst: string | undefined;
  const settle = () => {
    best.sort((a, b) => (a.key < b.key ? -1 : 1));
    best = best.slice(0, wanted);
    if (best.length === wanted) worst = best.at(-1)?.key;
  };
  for (const item of items) {
    const key = keyOf(item);
    if ((after !== undefined && key <= after) || (worst !== undefined && key >= worst)) continue;
    best.push({ key, item });
    if (best.length >= enough) settle();
  }
  settle();
  return page(name, best, query.limit, items.length);
}

/**
 * One page of a list in its own order, such as the newest first. Items may be added at its start and fall off its end while it
 * is read: what follows the last key that was given comes next, and nothing if that item itself has fallen off.
 */
export function pageInOrder<T>({ name, items, keyOf, run }: Listing<T>, query: PageQuery): Page<T> {
  let start = 0;
  if (query.continue !== undefined) {
    const after = keyInRun(decodeToken(query.continue, name), run);
    const found = items.findIndex((item) => keyOf(item) === after);
    start = found < 0 ? items.length : found + 1;
  }
  const best = items
    .slice(start, start + query.limit + 1)
    .map((item) => ({ key: run === undefined ? keyOf(item) : `${run}\n${keyOf(item)}`, item }));
  return page(name, best, query.limit, items.length);
}

function page<T>(name: string, best: readonly { readonly key: string; readonly item: T }[], limit: number, total: number): Page<T> {
  const shown = best.slice(0, limit);
  const last = shown.at(-1);
  const more = best.length > limit && last !== undefined;
  return { items: shown.map(({ item }) => item), total, ...(more && { continue: encodeToken(name, last.key) }) };
}

function encodeToken(name: string, key: string): string {
  return Buffer.from(`${name}\n${key}`).toString("base64url");
}

function decodeToken(token: string, name: string): string {
  const [list, ...key] = Buffer.from(token, "base64url").toString().split("\n");
  if (list !== name || key.length === 0) throw new CodedError("API_BAD_REQUEST", "The `continue` token is none that this list has given");
  return key.join("\n");
}

/** A key without the name of the process that gave it. */
function keyInRun(key: string, run: string | undefined): string {
  if (run === undefined) return key;
  const [of, ...rest] = key.split("\n");
  if (of !== run || rest.length === 0)
    throw new CodedError("API_BAD_REQUEST", "The `continue` token is of before the hub has started anew; begin again without it");
  return rest.join("\n");
}
