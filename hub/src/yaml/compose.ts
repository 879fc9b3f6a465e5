import { isJsonObject, type JsonObject, type JsonValue, setOwn } from "@muster/shared/model";
import { EVENT_ID, type Event, getScalarValue, SCALAR_STYLE } from "js-yaml";
import { formatGoFloatKey, formatGoIntegerKey, formatGoSpecialKey, GoScalarError, resolveGoScalar } from "./go-scalar.ts";
import { resolveTagged } from "./tagged-scalar.ts";
import type { YamlLimits } from "./yaml-limits.ts";
import { YamlProblem } from "./yaml-problem.ts";

/** One document as Go would hand it to a Kubernetes client. */
export interface ComposedDocument {
  readonly value: JsonValue;
  /** Offset of the first node; 0 for an empty document. */
  readonly offset: number;
  /** An integer that a JavaScript number cannot hold, if there is one. */
  readonly inexact?: { readonly text: string; readonly offset: number };
  /** Nodes, those of {@link aliasNodes} too. */
  readonly nodes: number;
  /** Nodes that aliases and merge keys added. */
  readonly aliasNodes: number;
}

/** Offsets of the keys of maps and of the items of lists, by the map or list that holds them. */
export type Places = WeakMap<object, Map<string | number, number>>;

interface Built {
  readonly value: JsonValue;
  /** Nodes, aliases expanded. */
  readonly nodes: number;
  readonly depth: number;
}

type ScalarEvent = Extract<Event, { type: typeof EVENT_ID.SCALAR }>;

const LONG_PREFIX = "tag:yaml.org,2002:";

/**
 * Builds documents from js-yaml's events in the way of go-yaml v2 under sigs.k8s.io/yaml: its scalars, its map keys
 * (`y: 1` becomes `"true": 1`), its merge keys (applied in document order: one below a key overrides it), unknown tags
 * ignored. js-yaml's own constructor differs in each and has no bound on aliases. Unlike Go, a duplicate key is an error.
 */
export class Composer {
  readonly #events: readonly Event[];
  readonly #source: string;
  readonly #limits: YamlLimits;
  readonly #places: Places | undefined;
  #at = 0;
  #anchors = new Map<string, Built | undefined>();
  #tagHandles = new Map<string, string>();
  #nodes = 0;
  #aliasNodes = 0;
  #inexact: ComposedDocument["inexact"];

  /** `places` is filled with where each value stands. */
  constructor(events: readonly Event[], source: string, limits: YamlLimits, places?: Places) {
    this.#events = events;
    this.#source = source;
    this.#limits = limits;
    this.#places = places;
  }

  /** All documents. Throws a YamlProblem. */
  documents(): ComposedDocument[] {
    const documents: ComposedDocument[] = [];
    while (this.#at < this.#events.length) {
      const start = this.#next();
      if (start.type !== EVENT_ID.DOCUMENT) throw new YamlProblem("YAML_SYNTAX", "a document is expected", 0);
      this.#anchors = new Map();
      this.#tagHandles = new Map();
      for (const directive of start.directives) if (directive.kind === "tag") this.#tagHandles.set(directive.handle, directive.prefix);
      this.#nodes = 0;
      this.#aliasNodes = 0;
      this.#inexact = undefined;
      const first = this.#events[this.#at];
      const { value } = this.#node(1);
      this.#next();
      documents.push({ value, offset: first ? offsetOf(first) : 0, ...this.#findings() });
    }
    return documents;
  }

  #findings(): Pick<ComposedDocument, "nodes" | "aliasNodes" | "inexact"> {
    return { nodes: this.#nodes, aliasNodes: this.#aliasNodes, ...(this.#inexact && { inexact: this.#inexact }) };
  }

  #next(): Event {
    const event = this.#events[this.#at++];
    if (!event) throw new YamlProblem("YAML_SYNTAX", "the document ends too early", this.#source.length);
    return event;
  }

  #node(depth: number): Built {
    const event = this.#next();
    const offset = offsetOf(event);
    if (depth > this.#limits.maxDepth) throw new YamlProblem("YAML_LIMIT", `nested deeper than ${this.#limits.maxDepth} levels`, offset);
    if (event.type === EVENT_ID.ALIAS) return this.#alias(this.#source.slice(event.anchorStart, event.anchorEnd), depth, offset);
    this.#count(1, offset);
    const anchor = "anchorStart" in event && event.anchorStart >= 0 ? this.#source.slice(event.anchorStart, event.anchorEnd) : undefined;
    // Until the node is complete, an alias to it would contain itself.
    if (anchor !== undefined) this.#anchors.set(anchor, undefined);
    let built: Built;
    if (event.type === EVENT_ID.SCALAR) built = { value: this.#scalar(event, offset), nodes: 1, depth: 0 };
    else if (event.type === EVENT_ID.SEQUENCE) built = this.#sequence(depth);
    else if (event.type === EVENT_ID.MAPPING) built = this.#mapping(depth);
    else throw new YamlProblem("YAML_SYNTAX", "a value is expected", offset);
    if (anchor !== undefined) this.#anchors.set(anchor, built);
    return built;
  }

  #count(nodes: number, offset: number): void {
    this.#nodes += nodes;
    if (this.#nodes > this.#limits.maxNodes)
      throw new YamlProblem("YAML_LIMIT", `more than ${this.#limits.maxNodes} values in one document`, offset);
  }

  #alias(name: string, depth: number, offset: number): Built {
    const built = this.#anchors.get(name);
    if (!built) {
      if (this.#anchors.has(name)) throw new YamlProblem("YAML_SYNTAX", `anchor "${name}" contains itself`, offset);
      // The name is not shown: most likely it is a text without quotes, and a password may begin with `*`.
      throw new YamlProblem("YAML_SYNTAX", "unknown anchor; put the text in quotes if it is none", offset);
    }
    if (depth + built.depth > this.#limits.maxDepth)
      throw new YamlProblem("YAML_LIMIT", `nested deeper than ${this.#limits.maxDepth} levels`, offset);
    this.#countAlias(built.nodes, offset);
    return built;
  }

  #countAlias(nodes: number, offset: number): void {
    this.#aliasNodes += nodes;
    if (this.#aliasNodes > this.#limits.maxAliasNodes) {
      throw new YamlProblem("YAML_LIMIT", `aliases expand to more than ${this.#limits.maxAliasNodes} values`, offset);
    }
    this.#count(nodes, offset);
  }

  #sequence(depth: number): Built {
    const items: JsonValue[] = [];
    let nodes = 1;
    let below = 0;
    for (;;) {
      const event = this.#events[this.#at];
      if (event?.type === EVENT_ID.POP) break;
      if (event) this.#place(items, items.length, offsetOf(event));
      const item = this.#node(depth + 1);
      items.push(item.value);
      nodes += item.nodes;
      if (item.depth >= below) below = item.depth + 1;
    }
    this.#at += 1;
    return { value: items, nodes, depth: below };
  }

  #mapping(depth: number): Built {
    const map: JsonObject = {};
    // Keys that were written here, as opposed to merged: writing one twice is an error, overriding a merged one is not.
    const merges: { merged?: Set<string> } = {};
    let nodes = 1;
    let below = 0;
    for (;;) {
      const event = this.#events[this.#at];
      if (!event || event.type === EVENT_ID.POP) break;
      const keyOffset = offsetOf(event);
      const isMerge = event.type === EVENT_ID.SCALAR && this.#isMergeKey(event);
      const key = isMerge ? undefined : this.#key(event, depth);
      if (isMerge) this.#at += 1;
      const value = this.#node(depth + 1);
      nodes += 1 + value.nodes;
      if (value.depth >= below) below = value.depth + 1;
      if (key === undefined) {
        merges.merged ??= new Set();
        this.#merge(map, merges.merged, value.value, keyOffset);
        continue;
      }
      if (Object.hasOwn(map, key) && !merges.merged?.delete(key)) {
        throw new YamlProblem("YAML_SYNTAX", `key ${JSON.stringify(key)} is set twice`, keyOffset);
      }
      setOwn(map, key, value.value);
      this.#place(map, key, keyOffset);
    }
    this.#at += 1;
    return { value: map, nodes, depth: below };
  }

  #place(holder: object, key: string | number, offset: number): void {
    if (!this.#places) return;
    const known = this.#places.get(holder);
    if (known) known.set(key, offset);
    else this.#places.set(holder, new Map([[key, offset]]));
  }

  #isMergeKey(event: ScalarEvent): boolean {
    if (getScalarValue(this.#source, event) !== "<<") return false;
    const tag = this.#tag(event);
    return tag === "!!merge" || tag === "!" || (tag === "" && event.style === SCALAR_STYLE.PLAIN);
  }

  /** Go applies merges where they stand, so a later merge also overrides explicit keys; of a list, the first source wins. */
  #merge(map: JsonObject, merged: Set<string>, value: JsonValue, offset: number): void {
    const sources = Array.isArray(value) ? [...value].reverse() : [value];
    for (const source of sources) {
      if (!isJsonObject(source)) throw new YamlProblem("YAML_SYNTAX", "a merge key (<<) needs a map or a list of maps", offset);
      const entries = Object.entries(source);
      this.#countAlias(entries.length, offset);
      for (const [key, item] of entries) {
        setOwn(map, key, item);
        merged.add(key);
      }
    }
  }

  #key(event: Event, depth: number): string {
    const offset = offsetOf(event);
    const plain =
      event.type === EVENT_ID.SCALAR && event.style === SCALAR_STYLE.PLAIN && event.tagStart < 0
        ? getScalarValue(this.#source, event)
        : undefined;
    if (
      plain !== undefined &&
      event.type === EVENT_ID.SCALAR &&
      /^:[,[\]{}]/.test(this.#source.slice(event.valueEnd, event.valueEnd + 2))
    ) {
      // `{a:}` and `{a:[1]}`: to js-yaml the colon ends the key, to Go it is part of a text.
      throw new YamlProblem("YAML_SYNTAX", "write a space after the colon", event.valueEnd);
    }
    const special = plain === undefined ? undefined : formatGoSpecialKey(plain);
    if (special !== undefined) {
      this.#at += 1;
      return special;
    }
    const { value } = this.#node(depth + 1);
    if (typeof value === "string") return value;
    if (typeof value === "boolean") return String(value);
    if (typeof value === "number") {
      if (plain === undefined) return String(value);
      const key = resolveGoScalar(plain).float ? formatGoFloatKey(value) : formatGoIntegerKey(plain);
      if (key !== undefined) return key;
    }
    throw new YamlProblem("YAML_SYNTAX", `a map key must be text, a number or a boolean, not ${nameOf(value)}`, offset);
  }

  #scalar(event: ScalarEvent, offset: number): JsonValue {
    const text = getScalarValue(this.#source, event);
    try {
      const { value, exact } = resolveTagged(text, this.#tag(event), event.style === SCALAR_STYLE.PLAIN);
      if (!exact) this.#inexact ??= { text, offset };
      return value;
    } catch (error) {
      if (error instanceof GoScalarError) throw new YamlProblem("YAML_SYNTAX", error.message, offset);
      throw error;
    }
  }

  /** The tag in its short form (`!!int`), or an empty text. */
  #tag(event: ScalarEvent): string {
    if (event.tagStart < 0) return "";
    const raw = this.#source.slice(event.tagStart, event.tagEnd);
    const verbatim = /^!<(.*)>$/.exec(raw)?.[1];
    const handle = /^![\w-]*!/.exec(raw)?.[0];
    const full = verbatim ?? (handle && this.#tagHandles.has(handle) ? `${this.#tagHandles.get(handle)}${raw.slice(handle.length)}` : raw);
    return full.startsWith(LONG_PREFIX) ? `!!${full.slice(LONG_PREFIX.length)}` : full;
  }
}

function nameOf(value: JsonValue): string {
  if (typeof value === "number") return "an integer beyond 64 bits";
  return value === null ? "null" : "a collection";
}

function offsetOf(event: Event): number {
  if ("valueStart" in event && event.valueStart >= 0) return event.valueStart;
  if ("start" in event && event.start >= 0) return event.start;
  if ("anchorStart" in event && event.anchorStart >= 0) return event.anchorStart;
  if ("tagStart" in event && event.tagStart >= 0) return event.tagStart;
  return 0;
}
