import type { ApiClient, Query } from "../api-client.ts";
import type { ChangeNotice } from "../api-views.ts";
import type { Column } from "../output/table.ts";

/** What a person asked a list for. */
export interface ListRequest {
  /** The NAME argument, as the resource understands it. */
  readonly name?: string;
  readonly selector?: string;
  readonly cluster?: string;
  readonly bundle?: string;
}

/** One kind of thing that `muster get` lists. */
export interface Resource<T> {
  /** As on the command line: `clusters`. */
  readonly plural: string;
  /** As `-o name` prints it: `cluster`. */
  readonly singular: string;
  /** Short forms and the singular. */
  readonly aliases: readonly string[];
  readonly summary: string;
  /** What NAME is, for the help. */
  readonly nameHelp: string;
  /** Filters that it takes. */
  readonly filters: readonly ("selector" | "cluster" | "bundle")[];
  /** Notices after which the list may be another. */
  readonly changedBy: readonly ChangeNotice["kind"][];
  /** The cluster and the bundle that a request names, in whatever way. */
  names(request: ListRequest): { readonly cluster?: string | undefined; readonly bundle?: string | undefined };
  /** The items, and whether they are one that was asked for by its whole name. Throws API_NOT_FOUND for such a one. */
  fetch(api: ApiClient, request: ListRequest): Promise<Fetched<T>>;
  /** Unique in the list, and how `-o name` names it. */
  key(item: T): string;
  /** For people: what needs somebody comes first. */
  compare(a: T, b: T): number;
  columns(nowMs: number): readonly Column<T>[];
  /** With `-o wide`, the rows that an item takes. Default: one. */
  spread?(item: T): readonly T[];
  /** true: what happened once; that it is no longer told is no change. */
  readonly happened?: boolean;
  /** Said on standard error when the list is empty, because that is good news or needs a word. */
  readonly empty: string;
}

/** What {@link Resource.fetch} gives. */
export interface Fetched<T> {
  readonly items: readonly T[];
  /** true: one thing by its name, so `-o json` prints it and not a list. */
  readonly single: boolean;
}

/** Query parameters of the filters. */
export function filterQuery(request: ListRequest): Query {
  return { labelSelector: request.selector, cluster: request.cluster, bundle: request.bundle };
}

/** Order by a rank, highest first, then by a text. */
export function byRank<T>(rankOf: (item: T) => number, textOf: (item: T) => string): (a: T, b: T) => number {
  return (a, b) => rankOf(b) - rankOf(a) || compareTexts(textOf(a), textOf(b));
}

/** The same everywhere, whatever the locale. */
export function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
