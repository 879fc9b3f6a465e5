import { BUNDLE_LABEL, cloneJson, isJsonObject, type JsonObject, type JsonValue, type Manifest } from "@muster/shared/model";
import { type FieldSet, ownedFields, pointerTokens } from "../observe/field-set.ts";

/**
 * The manifest to apply onto a live object when rules say to ignore some fields. An ignored field that another manager owns is
 * left out. One that we own still (we created the object) keeps its live value: leaving it out would make the server remove
 * it, and a Deployment that was scaled would fall back to one replica (E024). As the live value is only right while nobody
 * writes, such a manifest carries the resource version, and a write in between is a KUBE_CONFLICT.
 */
export function leaveIgnoredFields(manifest: Manifest, live: Manifest, pointers: readonly string[]): Manifest {
  const copy = cloneJson(manifest);
  const owned = ownedFields(live);
  let adopted = false;
  for (const pointer of pointers) adopted = settle(copy, live, owned, pointerTokens(pointer)) || adopted;
  keepBundleLabel(copy, manifest);
  if (adopted) copy.metadata["resourceVersion"] = live.metadata["resourceVersion"] ?? "";
  return copy;
}

/** Walks to one pointer through manifest, live object and field set at once. True if a live value was adopted. */
function settle(
  value: JsonValue | undefined,
  live: JsonValue | undefined,
  owned: FieldSet | undefined,
  tokens: readonly string[],
): boolean {
  const [head, ...rest] = tokens;
  if (head === undefined || value === undefined || value === null) return false;
  let adopted = false;
  for (const member of Array.isArray(value) ? itemsOf(value, live, owned, head) : memberOf(value, live, owned, head)) {
    if (rest.length > 0) adopted = settle(member.value, member.live, member.owned, rest) || adopted;
    else if (member.owned !== undefined && member.live !== undefined) {
      member.set(ownPart(member.live, member.owned));
      adopted = true;
    } else member.remove();
  }
  return adopted;
}

interface Member {
  readonly value: JsonValue | undefined;
  readonly live: JsonValue | undefined;
  /** undefined: another manager's, or nobody's. */
  readonly owned: FieldSet | undefined;
  set(value: JsonValue): void;
  remove(): void;
}

function memberOf(value: JsonValue, live: JsonValue | undefined, owned: FieldSet | undefined, name: string): Member[] {
  if (!isJsonObject(value)) return [];
  return [
    {
      value: value[name],
      live: isJsonObject(live) && Object.hasOwn(live, name) ? live[name] : undefined,
      owned: within(owned, `f:${name}`),
      set: (next) => {
        value[name] = next;
      },
      remove: () => {
        delete value[name];
      },
    },
  ];
}

/** Items of a list: `*` is all of them. Their live counterparts are found by the list's keys, as the server pairs them. */
function itemsOf(list: JsonValue[], live: JsonValue | undefined, owned: FieldSet | undefined, token: string): Member[] {
  // From the end, so that removing one moves no other.
  const indexes = token === "*" ? list.map((_, index) => index).reverse() : [Number(token)];
  return indexes
    .filter((index) => index in list)
    .map((index) => {
      const item = list[index];
      const key = Object.keys(owned ?? {}).find(
        (candidate) => candidate.startsWith("k:") && fits(item, JSON.parse(candidate.slice(2)) as JsonObject),
      );
      const liveItems = Array.isArray(live) ? live : [];
      const counterpart = key ? liveItems.find((candidate) => fits(candidate, JSON.parse(key.slice(2)) as JsonObject)) : liveItems[index];
      return {
        value: item,
        live: counterpart,
        owned: key ? within(owned, key) : isLeaf(owned) ? owned : undefined,
        set: (next) => {
          list[index] = next;
        },
        remove: () => void list.splice(index, 1),
      };
    });
}

/** The part of a live value that a field set names: other managers' members of the same map or list stay theirs. */
function ownPart(live: JsonValue, owned: FieldSet): JsonValue {
  if (isLeaf(owned)) return cloneJson(live);
  const entries = Object.entries(owned).flatMap(([key, inner]): [string, FieldSet][] => (isJsonObject(inner) ? [[key, inner]] : []));
  if (isJsonObject(live)) {
    const part: JsonObject = {};
    for (const [key, inner] of entries) {
      const member = key.startsWith("f:") ? live[key.slice(2)] : undefined;
      if (member !== undefined) part[key.slice(2)] = ownPart(member, inner);
    }
    return part;
  }
  if (!Array.isArray(live)) return live;
  return entries.flatMap(([key, inner]) => {
    if (key.startsWith("v:")) return [JSON.parse(key.slice(2)) as JsonValue];
    const item = key.startsWith("k:") ? live.find((candidate) => fits(candidate, JSON.parse(key.slice(2)) as JsonObject)) : undefined;
    return item === undefined ? [] : [ownPart(item, inner)];
  });
}

/** A field set that names no member owns the whole value. */
function within(owned: FieldSet | undefined, key: string): FieldSet | undefined {
  if (owned === undefined || isLeaf(owned)) return owned;
  const inner = owned[key];
  return isJsonObject(inner) ? inner : undefined;
}

function isLeaf(owned: FieldSet | undefined): boolean {
  return owned !== undefined && Object.keys(owned).length === 0;
}

/** A list key that the manifest leaves to its default (`protocol`) is absent in it. */
function fits(item: JsonValue | undefined, keys: JsonObject): boolean {
  return isJsonObject(item) && Object.entries(keys).every(([name, want]) => item[name] === want || item[name] === undefined);
}

/** Our label stays even if a rule ignores all labels: watches select on it. */
export function keepBundleLabel(copy: Manifest, manifest: Manifest): void {
  const labels = manifest.metadata["labels"];
  const value = isJsonObject(labels) ? labels[BUNDLE_LABEL] : undefined;
  if (value === undefined) return;
  copy.metadata["labels"] = { ...(isJsonObject(copy.metadata["labels"]) ? copy.metadata["labels"] : {}), [BUNDLE_LABEL]: value };
}
