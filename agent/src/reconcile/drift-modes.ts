import { CodedError } from "@muster/shared/errors";
import { DriftKind, DriftMode, describeObjectRef, type ObjectRefText, parseObjectRef, type SliceBundle } from "@muster/shared/model";
import type { ManifestLine } from "@muster/shared/wire";
import type { Observation } from "../observe/observer.ts";
import { DRIFT_ANNOTATION, type DriftWord, driftWords, modeOfWord } from "../plan/drift-policy.ts";
import { contentOf, type DesiredState } from "../pull/desired-state.ts";

/** What is done about drift, object by object: as the object says in Git, else as its bundle does. */
export class DriftModes {
  readonly #bundles = new Map<string, DriftMode>();
  readonly #words: ReadonlyMap<string, ReadonlyMap<ObjectRefText, DriftWord>>;

  /** `linesOf`: the objects of a bundle. */
  constructor(desired: DesiredState | undefined, linesOf: (bundle: string) => readonly ManifestLine[]) {
    const bundles: readonly SliceBundle[] = desired?.slice.bundles ?? [];
    for (const bundle of bundles) {
      const mode = desired && contentOf(bundle, desired)?.options.drift.mode;
      if (mode) this.#bundles.set(bundle.name, mode);
    }
    this.#words = new Map(bundles.map(({ name }) => [name, driftWords(linesOf(name))]));
  }

  of(bundle: string, ref: ObjectRefText): DriftMode {
    const word = this.#words.get(bundle)?.get(ref);
    return word === undefined ? (this.#bundles.get(bundle) ?? DriftMode.Correct) : modeOfWord(word);
  }

  /** What is known of an object, as anybody is told of it: in mode off without its drift. */
  told(observation: Observation): Observation {
    if (!observation.drift || this.of(observation.bundle, observation.ref) !== DriftMode.Off) return observation;
    const { drift, ...rest } = observation;
    return drift.kind === DriftKind.Missing ? { ...rest, message: "It was deleted; its drift mode is off" } : rest;
  }

  /** Somebody has deleted it and may: that it is not there makes nothing unhealthy. */
  isLetGo({ drift, bundle, ref }: Observation): boolean {
    return drift?.kind === DriftKind.Missing && this.of(bundle, ref) === DriftMode.Off;
  }

  /** Of an object whose annotation says a word that is none. */
  misspelt(bundle: string, ref: ObjectRefText): CodedError | undefined {
    const word = this.#words.get(bundle)?.get(ref);
    if (typeof word !== "object") return undefined;
    const says = `says “${word.misspelt.slice(0, 40)}” in ${DRIFT_ANNOTATION}, which means nothing`;
    return new CodedError("DRIFT_MODE_INVALID", `${describeObjectRef(parseObjectRef(ref))} ${says}: its drift is reported, not corrected`);
  }

  /** The first of a bundle's objects that {@link misspelt} tells something of. */
  firstMisspelt(bundle: string): CodedError | undefined {
    for (const ref of this.#words.get(bundle)?.keys() ?? []) {
      const error = this.misspelt(bundle, ref);
      if (error) return error;
    }
    return undefined;
  }
}
