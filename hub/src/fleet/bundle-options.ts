import { Adoption, type BundleOptions, type DriftIgnore, DriftMode, OnRemoval } from "@muster/shared/model";
import type { BundleDocument, FleetDocument } from "./document-schemas.ts";
import { IGNORE_PRESETS } from "./ignore-presets.ts";

type BundleSpec = BundleDocument["spec"];
type Defaults = NonNullable<FleetDocument["spec"]>["defaults"];
type IgnoreRule = NonNullable<NonNullable<BundleSpec["drift"]>["ignore"]>[number];

/** How agents treat a bundle: what it says itself, else what the fleet's defaults say. What is as it is by default stands in no slice. */
export function optionsOf(spec: BundleSpec, defaults: Defaults): BundleOptions {
  const onRemoval = spec.deletion?.onRemoval ?? defaults?.deletion?.onRemoval ?? OnRemoval.Delete;
  const adoption = spec.adoption ?? defaults?.adoption ?? Adoption.IfUnowned;
  const ready = (spec.dependsOn ?? []).flatMap(({ bundle, ready: rules }) =>
    (rules ?? []).map(({ group = "", ...rule }) => ({ bundle, group, ...defined(rule) })),
  );
  const health = [...(spec.health ?? []), ...(defaults?.health ?? [])].map(({ group = "", ...rule }) => ({ group, ...defined(rule) }));
  return {
    drift: {
      mode: (spec.drift?.mode ?? defaults?.drift?.mode ?? DriftMode.Correct) || DriftMode.Off,
      ignore: [...(defaults?.drift?.ignore ?? []), ...(spec.drift?.ignore ?? [])].flatMap(toIgnore),
    },
    prune: spec.deletion?.prune ?? defaults?.deletion?.prune ?? true,
    createNamespace: spec.createNamespace === "ifAbsent",
    dependsOn: (spec.dependsOn ?? []).map((entry) => entry.bundle),
    ...(ready.length > 0 && { ready }),
    ...(health.length > 0 && { health }),
    ...(spec.paused && { paused: true as const }),
    ...(adoption !== Adoption.IfUnowned && { adoption }),
    ...(onRemoval !== OnRemoval.Delete && { onRemoval }),
    ...(spec.serviceAccount && { serviceAccount: spec.serviceAccount }),
  };
}

function toIgnore({ preset, paths, ...rule }: IgnoreRule): readonly DriftIgnore[] {
  // A preset's own kinds stay; what the rule says beside it narrows them down.
  if (preset !== undefined) return IGNORE_PRESETS[preset].map((known) => ({ ...defined(rule), ...known }));
  return [{ ...defined(rule), paths: paths ?? [] }];
}

/** Leaves out members that are undefined, which exactOptionalPropertyTypes tells from absent ones. */
export function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
