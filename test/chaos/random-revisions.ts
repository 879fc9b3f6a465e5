import type { Manifest } from "@muster/shared/model";
import type { MadeBundle } from "../../agent/src/pull/testing/slice-maker.ts";
import type { SeededRandom } from "../rig/seeded-random.ts";
import type { LaneObjects } from "./objects.ts";
import { type Revision, toRevision } from "./revision.ts";

/** Where an object is in Git, and as what. */
interface Place {
  readonly bundle: string;
  readonly value: number;
}

const BUNDLES = ["one", "two", "three"] as const;
const NAMES = ["map-1", "map-2", "map-3", "map-4", "map-5", "map-6", "map-7", "held-1", "held-2", "password", "web", "reader"] as const;
const KINDS = ["Widget", "Gadget"] as const;

/** Changes Git at random, again and again: objects come, change, move between bundles and go. */
export interface RandomGit {
  /** `recent`: all that was published since the last rest. `mayKeep`: the rendering of a bundle may fail. */
  next(before: Revision, recent: readonly Revision[], mayKeep: boolean): Revision;
}

export function createRandomGit(random: SeededRandom, objects: LaneObjects): RandomGit {
  const places = new Map<string, Place>();
  let changes = 0;

  function change(name: string): void {
    const place = places.get(name);
    if (!place) {
      places.set(name, { bundle: random.pick(BUNDLES), value: ++changes });
      return;
    }
    const dice = random.next();
    if (dice < 0.35) places.delete(name);
    else if (dice < 0.65) places.set(name, { ...place, bundle: random.pick(BUNDLES) });
    else places.set(name, { ...place, value: ++changes });
  }

  return {
    next(before, recent, mayKeep) {
      for (const name of NAMES) if (random.chance(0.35)) change(name);
      for (const kind of KINDS) if (random.chance(0.1)) change(kind);
      const kept = mayKeep && random.chance(0.1) ? random.pick(BUNDLES) : undefined;
      const bundles = BUNDLES.map((bundle): MadeBundle => {
        if (bundle === kept && before.good.has(bundle)) return { name: bundle };
        return { name: bundle, objects: [objects.map(`always-${bundle}`, "always"), ...manifests(bundle)] };
      });
      return toRevision(bundles, before, recent);
    },
  };

  function manifests(bundle: string): Manifest[] {
    return [...places].filter(([, place]) => place.bundle === bundle).flatMap(([name, { value }]) => manifestsOf(name, value));
  }

  function manifestsOf(name: string, value: number): Manifest[] {
    if (name === "password") return [objects.secret(name, value)];
    if (name === "web") return [objects.deployment(name, value)];
    if (name === "reader") return [objects.clusterRole(name, value)];
    if (name.startsWith("held")) return [objects.held(name, value)];
    if (name.startsWith("map")) return [objects.map(name, value)];
    return [objects.definition(name), objects.custom(name, `${name.toLowerCase()}-1`, value), objects.custom(name, "fixed", "always")];
  }
}
