import type { BundleReport, ClusterFacts, ClusterReport, ObjectException, ReportedEvent } from "@muster/shared/model";
import type { AgentMessage } from "@muster/shared/rpc";

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
    ...(report.heldDeletion && { heldDeletion: { ...report.heldDeletion, sample: [...report.heldDeletion.sample], message: short(report.heldDeletion.message) } }),
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
  return { kind: drift.kind, manager: drift.manager ?? "", at: drift.at ?? "", paths: [...drift.paths] };
}

export function eventToWire(event: ReportedEvent): Wire<"events">[number] {
  return { at: event.at, type: event.type, bundle: event.bundle ?? "", message: short(event.message), ...(event.object && { object: event.object }) };
}

export function factsToWire(facts: ClusterFacts) {
  return { ...facts, apiVersions: [...facts.apiVersions], clusterScopedKinds: [...facts.clusterScopedKinds] };
}
