import { CodedError } from "@muster/shared/errors";
import type { JsonObject } from "@muster/shared/model";
import { digestJson } from "@muster/shared/wire";
import type { PatchSpec, Target, Variables } from "../../fleet/model.ts";
import { ByteLru } from "../cache/byte-lru.ts";
import { WeakValues } from "../cache/weak-values.ts";
import type { RenderedObject, RenderedObjects } from "../rendered-objects.ts";
import type { ClusterCapabilities, RenderedTarget } from "../renderer.ts";
import { assembleTarget } from "./assemble-target.ts";
import { type BoundObject, bindObject, type ObjectBinding } from "./bind-object.ts";
import { describeLoosely } from "./check-object.ts";
import { type FilledPatch, fillPatch } from "./patches.ts";
import { declaredScopes, type Scope, scopeOf } from "./scopes.ts";
import { type UnsetVariable, unsetError, valuesKey, variablesOf, variableUses } from "./variable-uses.ts";

/** What of a render's result decides which inputs of a binding matter. */
interface Profile {
  /** Names of all variables that objects refer to, sorted. */
  readonly variables: readonly string[];
  readonly declared: ReadonlyMap<string, Scope>;
  /** One object of each apiVersion and kind. */
  readonly kinds: readonly JsonObject[];
}

/** What binding needs besides the rendered objects and the target. */
export interface BindInput {
  readonly target: Target;
  readonly rendered: RenderedObjects;
  readonly capabilities: ClusterCapabilities;
  /** For namespaced objects that name none. */
  readonly namespace: string;
}

/**
 * The second step: what the clusters' differences make of rendered objects. Pure apart from its caches: equal inputs give
 * the same RenderedTarget, and an object that did not change gives the same manifest, so that later stages can
 * cache by identity.
 */
export class Binder {
  readonly #targets: ByteLru<RenderedTarget>;
  /**
   * Bound objects by source object and by what went into the binding. Weak on both sides: they live as long as a target
   * in the cache, or somebody outside, holds them.
   */
  readonly #objects = new WeakMap<JsonObject, WeakValues<BoundObject>>();
  readonly #boundOf = new WeakMap<RenderedTarget, readonly BoundObject[]>();
  readonly #profiles = new WeakMap<RenderedObjects, Profile>();

  /** `cacheBytes` bounds the bound targets that are remembered; default 512 MiB of JSON. */
  constructor(cacheBytes = 512 * 1024 * 1024) {
    this.#targets = new ByteLru(cacheBytes);
  }

  /** Throws CAPABILITIES_UNKNOWN, VARIABLE_*, PATCH_INVALID, OBJECT_*, BUNDLE_EMPTY. */
  bind(input: BindInput): RenderedTarget {
    const { target, rendered, capabilities, namespace } = input;
    const profile = this.#profile(rendered);
    const variables = variablesOf(target);
    const { patches, unset } = fillPatches(target, variables);
    // Where patches stand is no part of the key: the bundle's file may change in other places.
    const base = digestJson([target.bundle.name, namespace, patches.map(({ target: selector, patch }) => [selector, patch])]);
    const scopes = profile.kinds.map((kind) => scopeOf(kind, profile.declared, capabilities));
    if (capabilities.unreported) refuseUnknownScope(profile, scopes);
    const key = [rendered.key, base, scopes.join(), valuesKey(profile.variables, variables)].join("\0");
    const known = this.#targets.get(key);
    if (known && unset.length === 0) return known;
    const bound = this.#bindAll(input, { bundle: target.bundle.name, namespace, variables, patches }, base, profile, unset);
    if (bound.length > 0) checkPatchesMatched(target, bound);
    const unknown = profile.kinds.filter((_, index) => scopes[index] === "unknown");
    const result = assembleTarget({ bundle: target.bundle, rendered, bound, unknown });
    this.#boundOf.set(result, bound);
    this.#targets.set(
      key,
      result,
      bound.reduce((sum, object) => sum + object.bytes * 2, 1_000),
    );
    return result;
  }

  #profile(rendered: RenderedObjects): Profile {
    let profile = this.#profiles.get(rendered);
    if (!profile) {
      const names = new Set<string>();
      const kinds = new Map<string, JsonObject>();
      for (const { object, at } of rendered.objects) {
        for (const name of variableUses(object, at)) names.add(name);
        kinds.set(`${String(object["apiVersion"])}/${String(object["kind"])}`, object);
      }
      profile = { variables: [...names].sort(), declared: declaredScopes(rendered.objects), kinds: [...kinds.values()] };
      this.#profiles.set(rendered, profile);
    }
    return profile;
  }

  #bindAll(input: BindInput, binding: ObjectBinding, base: string, profile: Profile, unset: UnsetVariable[]): BoundObject[] {
    const bound: BoundObject[] = [];
    for (const source of input.rendered.objects) {
      const scope = scopeOf(source.object, profile.declared, input.capabilities);
      const key = `${base}\0${scope}\0${valuesKey(variableUses(source.object, source.at), binding.variables)}`;
      const object = this.#known(source, key) ?? this.#bindOne(source, scope, binding, key, unset);
      if (object) bound.push(object);
    }
    if (unset.length > 0) throw unsetError(unset, input.target.cluster.name);
    return bound;
  }

  #known(source: RenderedObject, key: string): BoundObject | undefined {
    return this.#objects.get(source.object)?.get(key);
  }

  #bindOne(source: RenderedObject, scope: Scope, binding: ObjectBinding, key: string, unset: UnsetVariable[]): BoundObject | undefined {
    const names = new Set<string>();
    const object = bindObject(source, scope, binding, names);
    for (const name of names) unset.push({ name, at: source.at, user: describeLoosely(source.object) });
    if (!object) return undefined;
    let byKey = this.#objects.get(source.object);
    if (!byKey) {
      byKey = new WeakValues();
      this.#objects.set(source.object, byKey);
    }
    byKey.set(key, object);
    return object;
  }
}

/** An object's namespace is part of its reference: a guess that is corrected later looks as if the object had gone (E053). */
function refuseUnknownScope({ kinds }: Profile, scopes: readonly Scope[]): void {
  const unknown = kinds.find((_, index) => scopes[index] === "unknown");
  if (!unknown) return;
  const kind = `${String(unknown["kind"])} of ${String(unknown["apiVersion"])}`;
  throw new CodedError(
    "CAPABILITIES_UNKNOWN",
    `Whether ${kind} lives in a namespace is not known: no agent has told what the cluster serves yet`,
  );
}

/** The bundle's patches, then those of the layers in their order. */
function patchesOf(target: Target): readonly PatchSpec[] {
  return [...target.bundle.patches, ...target.layers.flatMap((layer) => layer.patches)];
}

function checkPatchesMatched(target: Target, bound: readonly BoundObject[]): void {
  const matched = new Set(bound.flatMap((object) => object.patchedBy));
  for (const [index, spec] of patchesOf(target).entries()) {
    if (!matched.has(index))
      throw new CodedError("PATCH_INVALID", `The patch matches no object: ${JSON.stringify(spec.target)}`, { at: spec.at });
  }
}

function fillPatches(target: Target, variables: Variables): { patches: readonly FilledPatch[]; unset: UnsetVariable[] } {
  const unset: UnsetVariable[] = [];
  const patches = patchesOf(target).map((spec) => {
    const names = new Set<string>();
    const filled = fillPatch(spec, variables, names);
    for (const name of names) unset.push({ name, at: spec.at, user: "a patch" });
    return filled;
  });
  return { patches, unset };
}
