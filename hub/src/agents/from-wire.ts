import {
  type BundleReport,
  type ClusterFacts,
  type ClusterReport,
  type Digest,
  DriftKind,
  type FieldChange,
  type Generation,
  Health,
  type ObjectException,
  type ObjectRef,
  type ReportedEvent,
  SyncState,
} from "@muster/shared/model";
import type { AgentMessage__Output } from "@muster/shared/rpc";
import { MAX_GENERATION } from "@muster/shared/wire";
import type { InspectedObjectView, InspectionView } from "./commands.ts";

type Body<K extends keyof AgentMessage__Output> = NonNullable<AgentMessage__Output[K]>;
type StatusOutput = Body<"status">;
type Part<K extends keyof StatusOutput> = NonNullable<StatusOutput[K]>;
type Items<T> = T extends readonly (infer I)[] ? I : never;

/** What an agent says is hostile until proven otherwise: texts and lists are cut, words that we do not know become Unknown. */
const MAX_TEXT = 2_000;
const MAX_NAME = 512;
const MAX_REMARK = 500;
const MAX_ITEMS = 20_000;
const MAX_PATHS = 20;
const MAX_BLOCKERS = 20;
const MAX_CHANGES = 10;
const MAX_VALUE = 120;
const MAX_OWNERS = 10;

/** A copy: a piece of a text keeps the whole of it alive, and with it the message that it came in. */
const cut = (text: string, length = MAX_TEXT): string =>
  text.length <= length ? text : Buffer.from(text.slice(0, length), "utf16le").toString("utf16le");
const oneOf = <T extends string>(values: Readonly<Record<string, T>>, text: string, fallback: T): T =>
  (Object.values(values) as string[]).includes(text) ? (text as T) : fallback;
const count = (value: number): number => (Number.isSafeInteger(value) && value >= 0 ? value : 0);

export function factsFromWire(facts: Body<"hello">["facts"]): ClusterFacts {
  return {
    agentVersion: cut(facts?.agentVersion ?? "", MAX_NAME),
    kubernetesVersion: cut(facts?.kubernetesVersion ?? "", MAX_NAME),
    apiVersions: (facts?.apiVersions ?? []).slice(0, MAX_ITEMS).map((text) => cut(text, MAX_NAME)),
    clusterScopedKinds: (facts?.clusterScopedKinds ?? []).slice(0, MAX_ITEMS).map((text) => cut(text, MAX_NAME)),
  };
}

export function generationFromWire(value: { epoch: number; generation: number } | null | undefined): Generation | undefined {
  const [epoch, generation] = [Number(value?.epoch), Number(value?.generation)];
  const inOrder = (number: number): boolean => Number.isSafeInteger(number) && number > 0 && number < MAX_GENERATION;
  return inOrder(epoch) && inOrder(generation) ? { epoch, generation } : undefined;
}

export function clusterFromWire(report: Part<"cluster">): ClusterReport {
  const seen = generationFromWire(report.seen);
  const applied = generationFromWire(report.applied);
  const held = report.heldDeletion;
  const problem = report.sliceProblem;
  return {
    ...(seen && { seen }),
    ...(applied && { applied }),
    bundles: report.bundles.slice(0, MAX_ITEMS).map(bundleFromWire),
    ...(held && {
      heldDeletion: {
        id: cut(held.id, MAX_NAME),
        objects: count(held.objects),
        sample: held.sample.slice(0, 10).flatMap((ref) => refFromWire(ref) ?? []),
        message: cut(held.message),
      },
    }),
    ...(problem && { sliceProblem: { code: cut(problem.code, MAX_NAME), message: cut(problem.message) } }),
  };
}

function bundleFromWire(bundle: Items<Part<"cluster">["bundles"]>): BundleReport {
  return {
    bundle: cut(bundle.bundle, MAX_NAME),
    state: oneOf(SyncState, bundle.state, SyncState.Progressing),
    health: oneOf(Health, bundle.health, Health.Unknown),
    ...(/^sha256:[0-9a-f]{64}$/.test(bundle.applied) && { applied: bundle.applied as Digest }),
    objects: count(bundle.objects),
    drifted: count(bundle.drifted),
    failed: count(bundle.failed),
    ...(bundle.reason && { reason: cut(bundle.reason, MAX_NAME) }),
    ...(bundle.message && { message: cut(bundle.message) }),
    ...(bundle.blockedBy.length > 0 && { blockedBy: bundle.blockedBy.slice(0, MAX_BLOCKERS).map((text) => cut(text, MAX_REMARK)) }),
  };
}

export function refFromWire(
  ref: { group: string; kind: string; namespace: string; name: string } | null | undefined,
): ObjectRef | undefined {
  if (!ref || ref.kind === "" || ref.name === "") return undefined;
  return {
    group: cut(ref.group, MAX_NAME),
    kind: cut(ref.kind, MAX_NAME),
    namespace: cut(ref.namespace, MAX_NAME),
    name: cut(ref.name, MAX_NAME),
  };
}

export function exceptionFromWire(exception: Items<StatusOutput["exceptions"]>): ObjectException | undefined {
  const ref = refFromWire(exception.ref);
  if (!ref) return undefined;
  const drift = driftFromWire(exception.drift);
  return {
    ref,
    bundle: cut(exception.bundle, MAX_NAME),
    health: oneOf(Health, exception.health, Health.Unknown),
    ...(exception.code && { code: cut(exception.code, MAX_NAME) }),
    ...(exception.message && { message: cut(exception.message) }),
    ...(drift && { drift }),
  };
}

function driftFromWire(drift: Items<StatusOutput["exceptions"]>["drift"]): ObjectException["drift"] {
  if (!drift) return undefined;
  return {
    kind: oneOf(DriftKind, drift.kind, DriftKind.Modified),
    ...(drift.manager && { manager: cut(drift.manager, MAX_NAME) }),
    ...(drift.at && { at: cut(drift.at, 40) }),
    paths: drift.paths.slice(0, MAX_PATHS).map((path) => cut(path, MAX_NAME)),
    ...(drift.fields.length > 0 && { fields: drift.fields.slice(0, MAX_CHANGES).map(changeFromWire) }),
  };
}

function changeFromWire({
  path,
  wanted,
  got,
  manager,
  at,
}: NonNullable<Items<StatusOutput["exceptions"]>["drift"]>["fields"][number]): FieldChange {
  return {
    path: cut(path, MAX_NAME),
    ...(wanted && { wanted: cut(wanted, MAX_VALUE) }),
    ...(got && { got: cut(got, MAX_VALUE) }),
    ...(manager && { manager: cut(manager, MAX_NAME) }),
    ...(at && { at: cut(at, 40) }),
  };
}

export function eventFromWire(event: Items<StatusOutput["events"]>): ReportedEvent {
  const object = refFromWire(event.object);
  return {
    at: cut(event.at, 40),
    type: /^[A-Za-z]{1,40}$/.test(event.type) ? event.type : "Unknown",
    ...(event.bundle && { bundle: cut(event.bundle, MAX_NAME) }),
    ...(object && { object }),
    message: cut(event.message),
  };
}

/** An answer that is not an error; a message in it tells of objects that found no place. */
export function inspectionFromWire({ objects, message }: Body<"inspectResult">): InspectionView {
  return { items: objects.flatMap((object) => inspectedFromWire(object) ?? []), ...(message && { truncated: cut(message, MAX_REMARK) }) };
}

function inspectedFromWire(object: Items<Body<"inspectResult">["objects"]>): InspectedObjectView | undefined {
  const ref = refFromWire(object.ref);
  const drift = driftFromWire(object.drift);
  const sharedWith = object.sharedWith.slice(0, MAX_OWNERS).map(({ manager, paths }) => ({
    manager: cut(manager, MAX_NAME),
    paths: paths.slice(0, MAX_PATHS).map((path) => cut(path, MAX_NAME)),
  }));
  return (
    ref && {
      ref,
      bundle: cut(object.bundle, MAX_NAME),
      health: oneOf(Health, object.health, Health.Unknown),
      message: cut(object.message),
      uid: cut(object.uid, MAX_NAME),
      lastAction: cut(object.lastAction, MAX_NAME),
      ...(sharedWith.length > 0 && { sharedWith }),
      ...(drift && { drift }),
    }
  );
}
