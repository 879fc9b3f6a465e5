import type { MadeBundle } from "../../agent/src/pull/testing/slice-maker.ts";
import type { LaneObjects } from "./objects.ts";
import { type Revision, toRevision } from "./revision.ts";

/**
 * What the next revision is like. `mixed`: objects of every kind come, change, move and go, with a definition and its objects, and one
 * that a finalizer holds. The others have what `mixed` has not: parts of state that are too large for one Secret, namespaces that
 * nobody declares, a bundle whose rendering failed, objects that cannot be changed but made anew, and one that kubectl has made before.
 */
export const SCENES = ["mixed", "large", "spaces", "kept", "anew"] as const;
export type Scene = (typeof SCENES)[number];

/** After so many steps a scene begins anew. */
export const PHASES = 4;

/** The revision number `step` of a lane. From each to the next all that its scene promises happens. */
export function sceneOf(scene: Scene, step: number, objects: LaneObjects, before: Revision): Revision {
  const odd = step % 2 === 1;
  const { map, held, secret, deployment, clusterRole, definition, custom, large, renewed } = objects;
  const here = odd ? "odd" : "even";
  // Only every second revision: a deletion of a definition needs an approval, and the others do without one.
  const [kind, path] = step % PHASES < 2 ? ["Gadget", "gadget"] : ["Widget", "widget"];
  const app: MadeBundle = {
    name: "app",
    objects: [
      map("keep", "always"),
      map("change", step),
      map(`only-${here}`, step),
      secret("password", step),
      secret(`password-${here}`, step),
      deployment("web", step),
      clusterRole("reader", step),
      ...(odd ? [map("move", "always")] : [held("held", "always")]),
    ],
  };
  const other: MadeBundle = { name: "other", objects: [map("other", "always"), ...(odd ? [] : [map("move", "always")])] };
  const kinds: MadeBundle = {
    name: "kinds",
    objects: [definition(kind), custom(kind, `${path}-1`, step), custom(kind, `${path}-2`, step)],
  };
  const mixed = [app, other, kinds];
  switch (scene) {
    case "mixed":
      return toRevision(mixed, before);
    case "large":
      return toRevision([...mixed, { name: "large", objects: [1, 2, 3, 4].map((index) => large(`large-${index}`, step)) }], before);
    case "spaces": {
      const spaces = [1, 2, 3].map((index) => map(`space-${index}`, step, `${objects.namespace}-${step}-${index}`));
      return toRevision([...mixed, { name: "spaces", objects: spaces, options: { createNamespace: true } }], before);
    }
    case "anew": {
      const adopted = map(`adopted-${step}`, step);
      const anew = [renewed("renewed", step), renewed("renewed-held", step, { held: true }), adopted];
      return { ...toRevision([...mixed, { name: "anew", objects: anew }], before), existing: [adopted] };
    }
    case "kept":
      return toRevision([app, { name: "other" }, kinds], before);
  }
}
