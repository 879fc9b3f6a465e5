import type { DriftDetail, DriftIgnore, FieldOwner, Health, Manifest, ObjectRefText } from "@muster/shared/model";
import type { ResourceType } from "../kube/cluster.ts";
import type { LeftOut } from "./loose-fields.ts";

/** What an apply hands to the observer: from now on this is what "not drifted" looks like. */
export interface AppliedObject {
  readonly ref: ObjectRefText;
  readonly bundle: string;
  readonly type: ResourceType;
  /** What was sent. */
  readonly manifest: Manifest;
  /** The API server's answer to our apply. Only its hash and field set are kept. */
  readonly live: Manifest;
  /** Present where `live` only says what would be: the UID of the object that is ours, and what there is in its place. */
  readonly dryRun?: { readonly uid: string; readonly found: Manifest | undefined };
  /** The bundle's ignore rules that are about the object. */
  readonly rules: readonly DriftIgnore[];
  /** What of it was left to others although Git sets it. */
  readonly leftOut?: LeftOut;
}

/** What is known of one object now. */
export interface Observation {
  readonly ref: ObjectRefText;
  readonly bundle: string;
  readonly uid: string;
  /** Of the live state that this describes. */
  readonly resourceVersion: string;
  readonly health: Health;
  /** For people; from the object's own conditions. */
  readonly message: string;
  /** A Job that has completed and removes itself after its time to live (E132). */
  readonly finished?: true;
  /** A condition of an ignore rule that could not be told of it, and so does not count. */
  readonly ruleProblem?: string;
  /** Managers that own fields of ours, too; usually none. */
  readonly sharedWith: readonly FieldOwner[];
  /** Present while live differs from what was applied. */
  readonly drift?: DriftDetail;
}

/**
 * Watches the applied objects. Watches only make it fast: a jittered relist per type (default every 5 min, ±20 %) makes
 * it right. Keeps a few hundred bytes per object, never the object itself.
 */
export interface Observer {
  /** Call before sending an apply, so that the watch event of our own write is not taken for a foreign one. */
  expectApply(ref: ObjectRefText): void;
  /** Ends what {@link expectApply} began, with the result. Also registers an object that was not known, and starts the watch of its type. */
  applied(object: AppliedObject): void;
  /** Ends what {@link expectApply} began, when the apply failed: what was known stays. */
  applyFailed(ref: ObjectRefText): void;
  /** Call before a delete of our own and for objects that leave the inventory. */
  forget(ref: ObjectRefText): void;
  get(ref: ObjectRefText): Observation | undefined;
  all(): Iterable<Observation>;
  /** Called for every change of an observation (drift seen or gone, health changed). Synchronous, may be frequent. */
  onChange(listener: (observation: Observation) => void): void;
  /** Resolves when the signal aborts and all watches have ended. */
  run(signal: AbortSignal): Promise<void>;
}
