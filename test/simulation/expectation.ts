import { BUNDLE_LABEL, formatObjectRef, isJsonObject, type Manifest, type ObjectRefText, objectRefOf } from "@muster/shared/model";
import type { MadeBundle } from "../../agent/src/pull/testing/slice-maker.ts";
import type { Commit } from "./git.ts";

/** An object that Git wants, and how its bundle is treated. */
export interface Wanted {
  readonly bundle: string;
  readonly manifest: Manifest;
  readonly options: NonNullable<MadeBundle["options"]>;
}

/** What a cluster must be like under the last of the slices that it has taken. */
export interface Expectation {
  readonly wanted: ReadonlyMap<ObjectRefText, Wanted>;
  /** Must not be deleted, whatever else. */
  covers(ref: ObjectRefText): boolean;
  /** Neither applied nor corrected nor deleted. */
  readonly paused: boolean;
  /** Some bundle is as it was, and nothing may leave. */
  readonly keeps: boolean;
  readonly commit: Commit;
}

/** From all slices that were taken, in their order: what a bundle was when it was last known counts while it is kept. */
export function expectationOf(taken: readonly Commit[]): Expectation {
  const commit = taken.at(-1) ?? { bundles: [], more: {} };
  const good = new Map<string, MadeBundle>();
  for (const { bundles } of taken) {
    for (const bundle of bundles) if (bundle.objects) good.set(bundle.name, bundle);
    // A bundle that is in no slice any more is nobody's.
    for (const name of good.keys()) if (!bundles.some((bundle) => bundle.name === name)) good.delete(name);
  }
  const wanted = new Map<ObjectRefText, Wanted>();
  const want = ({ name, objects = [], options = {} }: MadeBundle, over: boolean) => {
    for (const manifest of objects) {
      const ref = formatObjectRef(objectRefOf(manifest));
      if (over || !wanted.has(ref)) wanted.set(ref, { bundle: name, manifest: labelled(manifest, name), options });
    }
  };
  for (const bundle of commit.bundles) if (bundle.objects) want(bundle, true);
  const kept = commit.bundles.filter(({ objects }) => !objects);
  for (const { name, options } of kept) want(asKept(good.get(name) ?? { name }, options), false);
  const retained = new Set(commit.more.retained);
  for (const ref of retained) if (wanted.has(ref)) retained.delete(ref);
  return {
    wanted,
    covers: (ref) => kept.length > 0 || wanted.has(ref) || retained.has(ref),
    paused: commit.more.paused ?? false,
    keeps: kept.length > 0,
    commit,
  };
}

/** As it was, but for the pause, of which the slice that keeps it has the say. */
function asKept({ options, ...bundle }: MadeBundle, said: MadeBundle["options"]): MadeBundle {
  const { paused: _, ...rest } = options ?? {};
  return { ...bundle, options: { ...rest, ...(said?.paused && { paused: true }) } };
}

/** As the hub labels what it renders. */
function labelled(manifest: Manifest, bundle: string): Manifest {
  const labels = isJsonObject(manifest.metadata["labels"]) ? manifest.metadata["labels"] : {};
  return { ...manifest, metadata: { ...manifest.metadata, labels: { ...labels, [BUNDLE_LABEL]: bundle } } };
}
