import { BUNDLE_LABEL, isJsonObject, type Manifest } from "@muster/shared/model";
import type { ListScope, ResourceType, WatchEvent } from "../../cluster.ts";

/** One write, as watches tell it. */
interface Change {
  readonly version: number;
  readonly before: Manifest | undefined;
  /** undefined: deleted. `last` is its last state then. */
  readonly after: Manifest | undefined;
  readonly last: Manifest;
}

/** What an API server keeps: objects, one counter of versions, and the latest changes. Objects are frozen; they can be handed out. */
export interface MemoryStore {
  readonly version: number;
  get(type: ResourceType, namespace: string, name: string): Manifest | undefined;
  list(type: Pick<ResourceType, "group" | "kind">, scope?: ListScope): Manifest[];
  /** Everything there is. */
  all(): Iterable<Manifest>;
  /** Gives the object with its new version. */
  put(type: ResourceType, object: Manifest): Manifest;
  remove(type: ResourceType, object: Manifest): void;
  /** Changes of a type after a version, and the version up to which this tells all; undefined: they are forgotten. */
  changesSince(
    type: ResourceType,
    scope: ListScope,
    version: number,
  ): { readonly events: WatchEvent[]; readonly version: number } | undefined;
  /** Of the last change of a type; 0: there was none. */
  newest(type: Pick<ResourceType, "group" | "kind">): number;
  /** Heard with every change. Gives what ends it. */
  onChange(listener: (type: Pick<ResourceType, "group" | "kind">) => void): () => void;
  /** Forgets all changes up to now. */
  compact(): void;
}

type Key = string;
const keyOf = (type: Pick<ResourceType, "group" | "kind">): Key => `${type.group}/${type.kind}`;
const nameOf = (namespace: string, name: string) => `${namespace}/${name}`;

/** Versions begin here, so that they have one length for long. */
const FIRST_VERSION = 1_000_000;

export function createMemoryStore(): MemoryStore {
  const objects = new Map<Key, Map<string, Manifest>>();
  const changes = new Map<Key, Change[]>();
  const newest = new Map<Key, number>();
  const listeners = new Set<(type: Pick<ResourceType, "group" | "kind">) => void>();
  let version = FIRST_VERSION;
  let forgotten = FIRST_VERSION;

  const of = <T>(map: Map<Key, T>, type: Pick<ResourceType, "group" | "kind">, make: () => T): T => {
    const known = map.get(keyOf(type)) ?? make();
    map.set(keyOf(type), known);
    return known;
  };
  const note = (type: ResourceType, before: Manifest | undefined, after: Manifest | undefined, last: Manifest) => {
    of(changes, type, () => []).push({ version, before, after, last });
    newest.set(keyOf(type), version);
    for (const listener of [...listeners]) listener(type);
  };
  const stamp = (object: Manifest): Manifest => {
    version += 1;
    return freeze({ ...object, metadata: { ...object.metadata, resourceVersion: String(version) } });
  };

  return {
    get version() {
      return version;
    },
    get: (type, namespace, name) => objects.get(keyOf(type))?.get(nameOf(namespace, name)),
    list: (type, scope = {}) => [...(objects.get(keyOf(type))?.values() ?? [])].filter((object) => isIn(object, scope)),
    *all() {
      for (const byName of objects.values()) yield* byName.values();
    },
    put(type, object) {
      const byName = of(objects, type, () => new Map());
      const name = nameOf(String(object.metadata["namespace"] ?? ""), object.metadata.name);
      const before = byName.get(name);
      const stored = stamp(object);
      byName.set(name, stored);
      note(type, before, stored, stored);
      return stored;
    },
    remove(type, object) {
      const name = nameOf(String(object.metadata["namespace"] ?? ""), object.metadata.name);
      const before = objects.get(keyOf(type))?.get(name);
      if (!before) return;
      objects.get(keyOf(type))?.delete(name);
      const last = stamp(object);
      note(type, before, undefined, last);
    },
    changesSince(type, scope, after) {
      if (after < forgotten) return undefined;
      const known = changes.get(keyOf(type)) ?? [];
      let first = known.length;
      while (first > 0 && (known[first - 1]?.version ?? 0) > after) first -= 1;
      return { events: known.slice(first).flatMap((change) => eventOf(change, scope)), version };
    },
    newest: (type) => newest.get(keyOf(type)) ?? 0,
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    compact() {
      forgotten = version;
      changes.clear();
    },
  };
}

/** A change as a watch of a scope tells it: what enters the scope is new there. */
function eventOf({ before, after, last }: Change, scope: ListScope): WatchEvent[] {
  const was = before !== undefined && isIn(before, scope);
  const is = after !== undefined && isIn(after, scope);
  if (!was && !is) return [];
  return [{ type: is ? (was ? "modified" : "added") : "deleted", object: last }];
}

function isIn(object: Manifest, { namespace, labelSelector }: ListScope): boolean {
  if (namespace !== undefined && object.metadata["namespace"] !== namespace) return false;
  if (labelSelector === undefined) return true;
  const [label = BUNDLE_LABEL, value] = labelSelector.split("=");
  const labels = object.metadata["labels"];
  const has = isJsonObject(labels) ? labels[label] : undefined;
  return has !== undefined && (value === undefined || has === value);
}

function freeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) freeze(inner);
  return Object.freeze(value);
}
