import { Health, isJsonObject, type JsonObject, type JsonValue, type Manifest, splitApiVersion } from "@muster/shared/model";
import { type HealthResult, type HealthRules, healthByRule } from "./health-rules.ts";

/**
 * kstatus (sigs.k8s.io/cli-utils/pkg/kstatus): tells from one complete live object, its status included, whether its
 * controller has finished. Fetches nothing and knows no time. Rules that hold for every kind come first, then the table
 * of kinds, then `Ready`.
 *
 * Stricter than kstatus, because green must mean that it works: a Pod that has failed or cannot get its image is Failed,
 * and a load balancer has an address. Milder: a Pod that cannot be scheduled yet is InProgress however long that lasts, as
 * an autoscaler may be about to add a node.
 *
 * A bundle's own rule for the kind stands in place of all this, save for deletion and the generation that the controller has seen.
 */
export function computeHealth(object: Manifest, rules: HealthRules = NO_RULES): HealthResult {
  const general = generalHealth(object) ?? healthByRule(object, rules) ?? conventionalHealth(object);
  if (general) return general;
  const { group } = splitApiVersion(object.apiVersion);
  const specific = KINDS[`${group}/${object.kind}`];
  return specific ? specific(object) : readyHealth(object);
}

const NO_RULES: HealthRules = new Map();
const current = (message = ""): HealthResult => ({ health: Health.Current, message });
const inProgress = (message: string): HealthResult => ({ health: Health.InProgress, message });
const failed = (message: string): HealthResult => ({ health: Health.Failed, message });

function generalHealth(object: Manifest): HealthResult | undefined {
  if (object.metadata["deletionTimestamp"]) return { health: Health.Terminating, message: "Deletion was asked for" };
  const generation = object.metadata["generation"];
  const observed = map(object, "status")["observedGeneration"];
  // Not only older: an object that was restored together with its status shows a generation that it never had here.
  if (typeof generation === "number" && typeof observed === "number" && observed !== generation) {
    return inProgress(`Its controller has seen generation ${observed} of ${generation}`);
  }
  return undefined;
}

/** Conditions that mean the same for every kind that has them. */
function conventionalHealth(object: Manifest): HealthResult | undefined {
  const stalled = condition(object, "Stalled");
  if (stalled?.status === "True") return failed(stalled.message);
  const reconciling = condition(object, "Reconciling");
  return reconciling?.status === "True" ? inProgress(reconciling.message) : undefined;
}

/** Custom resources: a status that does not know Ready says nothing, and is Current. */
function readyHealth(object: Manifest): HealthResult {
  const ready = condition(object, "Ready");
  return ready && ready.status !== "True" ? inProgress(ready.message || `Ready is ${ready.status}`) : current();
}

type KindHealth = (object: Manifest) => HealthResult;

const KINDS: Readonly<Record<string, KindHealth>> = {
  "apps/Deployment": deployment,
  "apps/StatefulSet": statefulSet,
  "apps/DaemonSet": daemonSet,
  "apps/ReplicaSet": replicaSet,
  "/Pod": pod,
  "/PersistentVolumeClaim": persistentVolumeClaim,
  "/Service": service,
  "batch/Job": job,
  "batch/CronJob": () => current(),
  "policy/PodDisruptionBudget": podDisruptionBudget,
  "apiextensions.k8s.io/CustomResourceDefinition": customResourceDefinition,
  "apiregistration.k8s.io/APIService": apiService,
};

function deployment(object: Manifest): HealthResult {
  if (map(object, "status")["observedGeneration"] === undefined) return inProgress("Waits for its controller");
  const progressing = condition(object, "Progressing");
  if (progressing?.reason === "ProgressDeadlineExceeded") return failed(progressing.message || "Progress deadline exceeded");
  const wanted = number(map(object, "spec")["replicas"], 1);
  const status = map(object, "status");
  const [replicas, updated, ready, available] = ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"].map((name) =>
    number(status[name], 0),
  ) as [number, number, number, number];
  if (updated < wanted) return inProgress(`Updated ${updated} of ${wanted} replicas`);
  if (replicas > wanted) return inProgress(`${replicas - wanted} old replicas are to end`);
  if (available < wanted) return inProgress(`Available ${available} of ${wanted} replicas`);
  if (ready < wanted) return inProgress(`Ready ${ready} of ${wanted} replicas`);
  // Counts are of pods; only this reason says that the pods are those of the newest revision. A paused rollout never gets there.
  if (progressing && progressing.reason !== "NewReplicaSetAvailable" && map(object, "spec")["paused"] !== true)
    return inProgress(progressing.message || `Progressing: ${progressing.reason}`);
  const availability = condition(object, "Available");
  if (availability && availability.status !== "True") return inProgress(availability.message || "Not available");
  return current(`${wanted} replicas`);
}

function statefulSet(object: Manifest): HealthResult {
  const spec = map(object, "spec");
  const status = map(object, "status");
  const strategy = isJsonObject(spec["updateStrategy"]) ? spec["updateStrategy"] : {};
  // With OnDelete the user decides when pods are replaced: nothing is in progress.
  if (strategy["type"] === "OnDelete") return current("OnDelete");
  if (status["observedGeneration"] === undefined) return inProgress("Waits for its controller");
  const wanted = number(spec["replicas"], 1);
  const ready = number(status["readyReplicas"], 0);
  const replicas = number(status["replicas"], 0);
  if (replicas < wanted) return inProgress(`Replicas ${replicas} of ${wanted}`);
  if (ready < wanted) return inProgress(`Ready ${ready} of ${wanted} replicas`);
  if (replicas > wanted) return inProgress(`${replicas - wanted} replicas are to end`);
  const rolling = isJsonObject(strategy["rollingUpdate"]) ? strategy["rollingUpdate"] : {};
  const partition = number(rolling["partition"], 0);
  const updated = number(status["updatedReplicas"], 0);
  if (partition > 0)
    return updated < wanted - partition
      ? inProgress(`Updated ${updated} of ${wanted - partition} replicas`)
      : current(`Partition ${partition}`);
  if (status["currentRevision"] !== status["updateRevision"]) return inProgress("Waits for the new revision");
  return current(`${wanted} replicas`);
}

function daemonSet(object: Manifest): HealthResult {
  const status = map(object, "status");
  // Zero is an answer (no node fits), absence is none.
  if (status["observedGeneration"] === undefined || status["desiredNumberScheduled"] === undefined)
    return inProgress("Waits for its controller");
  const wanted = number(status["desiredNumberScheduled"], 0);
  for (const name of ["currentNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberReady"]) {
    const have = number(status[name], 0);
    if (have < wanted) return inProgress(`${name} ${have} of ${wanted}`);
  }
  return current(`${wanted} pods`);
}

function replicaSet(object: Manifest): HealthResult {
  const status = map(object, "status");
  const wanted = number(map(object, "spec")["replicas"], 1);
  const failure = condition(object, "ReplicaFailure");
  if (failure?.status === "True") return inProgress(failure.message);
  for (const name of ["replicas", "fullyLabeledReplicas", "availableReplicas", "readyReplicas"]) {
    const have = number(status[name], 0);
    if (have < wanted) return inProgress(`${name} ${have} of ${wanted}`);
  }
  return number(status["replicas"], 0) > wanted ? inProgress("Surplus replicas are to end") : current(`${wanted} replicas`);
}

function pod(object: Manifest): HealthResult {
  const phase = map(object, "status")["phase"];
  if (phase === "Succeeded") return current("Completed");
  if (phase === "Failed") return failed(text(map(object, "status")["message"]) || "The pod failed");
  const crashing = waitingReasons(object).find((reason) => reason === "CrashLoopBackOff" || reason === "ImagePullBackOff");
  if (crashing) return failed(crashing);
  if (phase !== "Running") return inProgress(`Phase ${text(phase) || "unknown"}`);
  return condition(object, "Ready")?.status === "True" ? current("Running") : inProgress("Running but not ready");
}

function waitingReasons(object: Manifest): string[] {
  const statuses = map(object, "status")["containerStatuses"];
  return (Array.isArray(statuses) ? statuses : []).map((status) => {
    const state = isJsonObject(status) && isJsonObject(status["state"]) ? status["state"] : {};
    return isJsonObject(state["waiting"]) ? text(state["waiting"]["reason"]) : "";
  });
}

function persistentVolumeClaim(object: Manifest): HealthResult {
  const phase = text(map(object, "status")["phase"]);
  return phase === "Bound" ? current("Bound") : inProgress(`Phase ${phase || "unknown"}`);
}

function service(object: Manifest): HealthResult {
  if (map(object, "spec")["type"] !== "LoadBalancer") return current();
  const balancer = map(object, "status")["loadBalancer"];
  const ingress = isJsonObject(balancer) ? balancer["ingress"] : undefined;
  return Array.isArray(ingress) && ingress.length > 0 ? current() : inProgress("Waits for its load balancer");
}

function job(object: Manifest): HealthResult {
  if (condition(object, "Failed")?.status === "True") return failed(condition(object, "Failed")?.message || "The job failed");
  if (condition(object, "Complete")?.status === "True") return current("Completed");
  if (map(object, "spec")["suspend"] === true) return current("Suspended");
  return map(object, "status")["startTime"] ? current("Started") : inProgress("Not started");
}

/** Whether the pods are as many as it wants is their owner's health: a budget over a workload at zero would never be met. */
function podDisruptionBudget(object: Manifest): HealthResult {
  const allowed = condition(object, "DisruptionAllowed");
  return allowed?.reason === "SyncFailed" ? inProgress(allowed.message || "Its controller cannot find the pods") : current();
}

function customResourceDefinition(object: Manifest): HealthResult {
  const refused = condition(object, "NamesAccepted");
  if (refused?.status === "False") return failed(refused.message);
  const established = condition(object, "Established");
  if (established?.status === "True") return current("Established");
  const refusal = established?.status === "False" && established.reason !== "Installing" ? established : undefined;
  return refusal ? failed(refusal.message) : inProgress("Not established yet");
}

function apiService(object: Manifest): HealthResult {
  const available = condition(object, "Available");
  return available?.status === "True" ? current() : inProgress(available?.message || "Not available");
}

interface Condition {
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

function condition(object: Manifest, type: string): Condition | undefined {
  const conditions = map(object, "status")["conditions"];
  for (const entry of Array.isArray(conditions) ? conditions : []) {
    if (isJsonObject(entry) && entry["type"] === type) {
      return { status: text(entry["status"]), reason: text(entry["reason"]), message: text(entry["message"]) };
    }
  }
  return undefined;
}

function map(object: Manifest, key: "spec" | "status"): JsonObject {
  const value = object[key];
  return isJsonObject(value) ? value : {};
}

function number(value: JsonValue | undefined, fallback: number): number {
  return typeof value === "number" ? value : fallback;
}

function text(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}
