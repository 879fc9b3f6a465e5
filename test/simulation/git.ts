import {
  type BundleOptions,
  type DeletionBudget,
  type DriftIgnore,
  DriftMode,
  formatObjectRef,
  type JsonObject,
  type Manifest,
  type ObjectRefText,
  OnRemoval,
  objectRefOf,
  type Slice,
} from "@muster/shared/model";
import type { MadeBundle } from "../../agent/src/pull/testing/slice-maker.ts";
import type { SeededRandom } from "../rig/seeded-random.ts";
import { NAMES, type Name, WISHES } from "./wishes.ts";

/** What Git says at one moment. */
export interface Commit {
  readonly bundles: readonly MadeBundle[];
  readonly more: Partial<Slice>;
}

/** Where an object is in Git, and as what. */
interface Place {
  readonly bundle: string;
  readonly value: number;
}

/** One by each way in which a rule can say which fields are others': where they are, whose they are, and when. */
const IGNORES: readonly DriftIgnore[] = [
  { kind: "Deployment", paths: ["/spec/replicas"] },
  { kind: "ConfigMap", paths: [], managers: ["kubectl-edit"] },
  { kind: "ConfigMap", paths: ["/data/value"], when: "object.data.value.startsWith('edited')" },
];

export const BUNDLES = ["one", "two", "three", "four"] as const;

/** Changes Git at random, again and again. */
export interface RandomGit {
  /** `calm`: nothing that keeps agents from coming to rest under it. */
  next(options: { readonly calm: boolean }): Commit;
  /** The last commit, with an approval. */
  approve(id: string): Commit;
}

/** Options of {@link createRandomGit}; what is not given is left to chance. */
export interface RandomGitOptions {
  readonly names?: readonly Name[];
  readonly budget?: DeletionBudget;
  /** Bundles have no options, and nothing is paused. */
  readonly plain?: boolean;
}

export function createRandomGit(random: SeededRandom, { names = NAMES, budget, plain = false }: RandomGitOptions = {}): RandomGit {
  const places = new Map<Name, Place>();
  const optionsOf = new Map<string, Partial<BundleOptions>>();
  const known = new Set<string>();
  let changes = 0;
  let last: Commit = { bundles: [], more: {} };

  function move(name: Name): void {
    const place = places.get(name);
    const dice = random.next();
    if (!place) places.set(name, { bundle: bundleFor(name), value: ++changes });
    else if (dice < 0.35) places.delete(name);
    else if (dice < 0.6) places.set(name, { ...place, bundle: bundleFor(name) });
    else places.set(name, { ...place, value: ++changes });
  }

  function bundleFor(name: Name): string {
    return WISHES[name].bundle ?? random.pick(BUNDLES);
  }

  function rollOptions(bundle: string): void {
    if (plain) return;
    const isMild = random.chance(0.6);
    optionsOf.set(bundle, {
      prune: isMild || random.chance(0.5),
      createNamespace: random.chance(0.7),
      drift: {
        mode: isMild || random.chance(0.5) ? DriftMode.Correct : random.pick([DriftMode.Report, DriftMode.Off]),
        ignore: IGNORES.filter(() => random.chance(0.15)),
      },
      dependsOn: bundle !== "one" && random.chance(0.15) ? ["one"] : [],
      ...(random.chance(0.2) && { onRemoval: OnRemoval.Orphan }),
      ...(random.chance(0.07) && { paused: true as const }),
    });
  }

  function manifestsOf(bundle: string): Manifest[] {
    return [...places].filter(([, place]) => place.bundle === bundle).flatMap(([name, { value }]) => WISHES[name].manifests(value));
  }

  function rollBudget(): DeletionBudget {
    if (random.chance(0.7)) return { objects: 50, percent: 100 };
    return { objects: 1 + random.below(5), percent: random.pick([10, 50, 100]) };
  }

  function empty(): void {
    // A bundle that loses all it has, or a fleet repository that renders to nothing.
    const bundle = random.chance(0.5) ? random.pick(BUNDLES) : undefined;
    for (const [name, place] of places) if (bundle === undefined || place.bundle === bundle) places.delete(name);
  }

  function refsIn({ bundles }: Commit): Set<ObjectRefText> {
    return new Set(bundles.flatMap(({ objects = [] }) => objects.map((manifest) => formatObjectRef(objectRefOf(manifest)))));
  }

  /** Objects that left, but must neither be applied nor pruned. */
  function retainedOf(before: Commit, bundles: readonly MadeBundle[]): ObjectRefText[] {
    const now = refsIn({ bundles, more: {} });
    return [...refsIn(before)].filter((ref) => !now.has(ref) && random.chance(0.5)).sort();
  }

  return {
    next({ calm }) {
      for (const bundle of BUNDLES) if (!optionsOf.has(bundle) || random.chance(0.15)) rollOptions(bundle);
      for (const name of names) if (random.chance(WISHES[name].share ?? 0.3)) move(name);
      if (random.chance(0.06)) empty();
      const kept = random.chance(calm ? 0.05 : 0.12) ? random.pick(BUNDLES) : undefined;
      const gone = random.chance(0.08) ? random.pick(BUNDLES) : undefined;
      const bundles = BUNDLES.filter((bundle) => bundle !== gone).map((name): MadeBundle => {
        // Of one that cannot be rendered Git can tell the pause all the same.
        if (name === kept && known.has(name)) return { name, options: optionsOf.get(name)?.paused ? { paused: true } : {} };
        known.add(name);
        return { name, objects: manifestsOf(name), options: optionsOf.get(name) ?? {} };
      });
      const retained = random.chance(0.08) ? retainedOf(last, bundles) : [];
      const more: Partial<Slice> = {
        paused: !plain && random.chance(calm ? 0.03 : 0.08),
        deletionBudget: budget ?? rollBudget(),
        ...(retained.length > 0 && { retained }),
      };
      last = { bundles, more };
      return last;
    },
    approve(id) {
      last = { ...last, more: { ...last.more, approvedDeletions: [...(last.more.approvedDeletions ?? []), id].sort() } };
      return last;
    },
  };
}

/** The annotations of a manifest. */
export function annotationsOf({ metadata }: Manifest): JsonObject {
  return (metadata["annotations"] ?? {}) as JsonObject;
}
