import type { BundleReport, ClusterFacts, ClusterReport, ObjectException, ReportedEvent } from "@muster/shared/model";
import type { AgentMessage } from "@muster/shared/rpc";
import type { InspectedObject } from "../reconcile/bundle-report.ts";

type StatusMessage = NonNullable<AgentMessage["status"]>;
type Wire<K extends keyof StatusMessage> = NonNullable<StatusMessage[K]>;

/** Longest text that leaves the cluster, in characters (E118). */
const MAX_TEXT = 2_000;
const short = (text: string | undefined) => (text ?? "").slice(0, MAX_TEXT);

export function clusterToWire(report: ClusterReport): Wire<"cluster"> {
  return {
    ...(report.seen && { seen: report.seen }),
    ...(report.applied && { applied: report.applied }),
    bundles: report.bundles.map(bundleToWire),
    ...(report.heldDeletion && {
      heldDeletion: { ...report.heldDeletion, sample: [...report.heldDeletion.sample], message: short(report.heldDeletion.message) },
    }),
    ...(report.sliceProblem && { sliceProblem: { code: report.sliceProblem.code, message: short(report.sliceProblem.message) } }),
  };
}

function bundleToWire(bundle: BundleReport) {
  return { ...bundle, applied: bundle.applied ?? "", reason: bundle.reason ?? "", message: short(bundle.message) };
}

export function exceptionToWire(exception: ObjectException): Wire<"exceptions">[number] {
  const { drift } = exception;
  return {
    ref: exception.ref,
    bundle: exception.bundle,
    health: exception.health,
    code: exception.code ?? "",
    message: short(exception.message),
    ...(drift && { drift: driftToWire(drift) }),
  };
}

export function driftToWire(drift: NonNullable<ObjectException["drift"]>) {
  const fields = (drift.fields ?? []).map(({ path, wanted = "", got = "", manager = "", at = "" }) => ({ path, wanted, got, manager, at }));
  return { kind: drift.kind, manager: drift.manager ?? "", at: drift.at ?? "", paths: [...drift.paths], fields };
}

export function eventToWire(event: ReportedEvent): Wire<"events">[number] {
  return {
    at: event.at,
    type: event.type,
    bundle: event.bundle ?? "",
    message: short(event.message),
    ...(event.object && { object: event.object }),
  };
}

export function factsToWire(facts: ClusterFacts) {
  return { ...facts, apiVersions: [...facts.apiVersions], clusterScopedKinds: [...facts.clusterScopedKinds] };
}

/** An answer is one message: this much of it at most, in bytes of JSON, so that it stays below the hub's 1 MiB. */
const MAX_INSPECTION_BYTES = 768 * 1024;

export function inspectionToWire(id: string, objects: readonly InspectedObject[]): NonNullable<AgentMessage["inspectResult"]> {
  let room = MAX_INSPECTION_BYTES;
  const shown = [];
  for (const object of objects) {
    const { ref, bundle, health, uid, lastAction, drift } = object;
    const sharedWith = (object.sharedWith ?? []).map(({ manager, paths }) => ({ manager, paths: [...paths] }));
    const about = { message: short(object.message), sharedWith, ...(drift && { drift: driftToWire(drift) }) };
    const wire = { ref, bundle, health, uid, lastAction, ...about };
    room -= Buffer.byteLength(JSON.stringify(wire));
    if (room < 0) break;
    shown.push(wire);
  }
  const left = objects.length - shown.length;
  return { id, code: "", message: left === 0 ? "" : `${left} more objects are not shown`, objects: shown };
}
