import { isJsonObject, type JsonObject, type JsonValue, setOwn } from "@muster/shared/model";
import type { Variables, VariableValue } from "../../fleet/model.ts";
import { parseTemplate, type Template } from "./expression.ts";

/** Maps whose values Kubernetes takes as text only: a numeric variable becomes text there even where it is the whole value. */
const TEXT_MAPS = new Set(["labels", "annotations", "matchLabels", "nodeSelector", "stringData", "commonLabels", "commonAnnotations"]);
const TEXT_LISTS = new Set(["args", "command"]);
const DATA_KINDS = new Set(["ConfigMap", "Secret"]);
/** A step into a list, in a JSON pointer. */
const INDEX = /^(?:-|0|[1-9][0-9]*)$/;

/**
 * Replaces `${NAME}` in every text of a value (not in keys). A text that is nothing but one expression takes the
 * variable's type, except where Kubernetes knows only text (labels, annotations, env values, ConfigMap data, arguments).
 * Shares what does not change with the input. Names without value and default go to `unset`. What a variable holds is
 * not read for expressions again. Throws an ExpressionError.
 */
export function substitute<T extends JsonValue>(value: T, variables: Variables, unset: Set<string>): T {
  return substituteAs(value, variables, unset, true);
}

/** As {@link substitute}, for values that are no Kubernetes object: a variable keeps its type everywhere. */
export function substituteValues<T extends JsonValue>(values: T, variables: Variables, unset: Set<string>): T {
  return substituteAs(values, variables, unset, false);
}

function substituteAs<T extends JsonValue>(value: T, variables: Variables, unset: Set<string>, isObject: boolean): T {
  const kind = isJsonObject(value) ? value["kind"] : undefined;
  const walker = new Substitution(variables, unset, { isObject, hasTextData: isObject && hasTextData(kind) });
  return walker.walk(value, "", "", 0) as T;
}

/** What a part of an object is substituted for: where it stands, and in what object. */
export interface SubstitutionPlace {
  /** Steps from the top, as in a JSON pointer: keys, indices, and `-` for the end of a list. */
  readonly steps: readonly string[];
  /** `kind` of the object. */
  readonly kind: string;
}

/** As {@link substitute}, for a part of an object (a merge patch, the value of a JSON 6902 operation). */
export function substituteAt(value: JsonValue, place: SubstitutionPlace, variables: Variables, unset: Set<string>): JsonValue {
  const walker = new Substitution(variables, unset, { isObject: true, hasTextData: hasTextData(place.kind) });
  const [parent = "", key = ""] = ["", "", ...place.steps.reduce<string[]>(walker.step, [])].slice(-2);
  return walker.walk(value, parent, key, place.steps.length);
}

/** true for kinds whose `data` holds only text. */
export function hasTextData(kind: JsonValue | undefined): boolean {
  return typeof kind === "string" && DATA_KINDS.has(kind);
}

/**
 * Where a value stands is told by the last two steps to it. An entry of a list is named after the list: in
 * `env: [{value: x}]`, the text stands in `env[]`, at `value`.
 */
class Substitution {
  readonly #variables: Variables;
  readonly #unset: Set<string>;
  readonly #isObject: boolean;
  readonly #hasTextData: boolean;

  constructor(variables: Variables, unset: Set<string>, context: { isObject: boolean; hasTextData: boolean }) {
    this.#variables = variables;
    this.#unset = unset;
    this.#isObject = context.isObject;
    this.#hasTextData = context.hasTextData;
  }

  /** Adds a step of a JSON pointer; a number is an index, unless it stands in a map of texts. */
  readonly step = (steps: readonly string[], token: string): string[] => {
    const last = steps.at(-1);
    const isIndex = INDEX.test(token) && last !== undefined && !this.#isTextMap(last, steps.length);
    return [...steps, isIndex ? `${last}[]` : token];
  };

  walk(value: JsonValue, parent: string, key: string, depth: number): JsonValue {
    if (typeof value === "string") {
      const template = parseTemplate(value);
      return template ? this.#fill(template, this.#isObject && this.#isText(parent, key, depth)) : value;
    }
    if (typeof value !== "object" || value === null) return value;
    return Array.isArray(value) ? this.#list(value, key, depth) : this.#map(value, key, depth);
  }

  #isText(parent: string, key: string, depth: number): boolean {
    if (key === `${parent}[]`) return TEXT_LISTS.has(parent);
    if (this.#isTextMap(parent, depth - 1)) return true;
    return (parent === "env[]" && key === "value") || (parent === "metadata" && (key === "name" || key === "namespace"));
  }

  #isTextMap(key: string, depth: number): boolean {
    return TEXT_MAPS.has(key) || (key === "data" && depth === 1 && this.#hasTextData);
  }

  #list(list: JsonValue[], key: string, depth: number): JsonValue[] {
    let copy: JsonValue[] | undefined;
    for (const [index, item] of list.entries()) {
      const next = this.walk(item, key, `${key}[]`, depth + 1);
      if (next === item) continue;
      copy ??= [...list];
      copy[index] = next;
    }
    return copy ?? list;
  }

  #map(map: JsonObject, key: string, depth: number): JsonObject {
    let copy: JsonObject | undefined;
    for (const name of Object.keys(map)) {
      const item = map[name] as JsonValue;
      const next = this.walk(item, key, name, depth + 1);
      if (next === item) continue;
      copy ??= { ...map };
      setOwn(copy, name, next);
    }
    return copy ?? map;
  }

  #fill(template: Template, asText: boolean): JsonValue {
    const [only] = template;
    if (template.length === 1 && only !== undefined && typeof only !== "string") {
      const set = this.#lookUp(only.name);
      const value = set ?? (only.fallback === undefined ? this.#missing(only.name) : typedDefault(only.fallback));
      return asText ? String(value) : value;
    }
    let text = "";
    for (const part of template) {
      text += typeof part === "string" ? part : String(this.#lookUp(part.name) ?? unquote(part.fallback) ?? this.#missing(part.name));
    }
    return text;
  }

  #lookUp(name: string): VariableValue | undefined {
    return Object.hasOwn(this.#variables, name) ? this.#variables[name] : undefined;
  }

  #missing(name: string): string {
    this.#unset.add(name);
    return "";
  }
}

/** A default that is the whole value: JSON numbers and booleans keep their type, quotes make text of anything. */
function typedDefault(text: string): VariableValue {
  if (text === "true" || text === "false") return text === "true";
  if (/^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$/.test(text) && Number.isFinite(Number(text))) return Number(text);
  return unquote(text);
}

function unquote(text: string): string;
function unquote(text: string | undefined): string | undefined;
function unquote(text: string | undefined): string | undefined {
  return text === undefined ? undefined : (/^(["'])(.*)\1$/s.exec(text)?.[2] ?? text);
}

/** Adds the names of all variables that a value refers to. Throws an ExpressionError. */
export function collectNames(value: JsonValue, names: Set<string>): void {
  if (typeof value === "string") {
    for (const part of parseTemplate(value) ?? []) if (typeof part !== "string") names.add(part.name);
  } else if (Array.isArray(value)) {
    for (const item of value) collectNames(item, names);
  } else if (typeof value === "object" && value !== null) {
    for (const key of Object.keys(value)) collectNames(value[key] as JsonValue, names);
  }
}
