import { Health, type JsonObject, type Manifest } from "@muster/shared/model";
import { describe, expect, it } from "vitest";
import { computeHealth } from "./health.ts";

// The states are those of kstatus (sigs.k8s.io/cli-utils, pkg/kstatus/status) but where computeHealth says that they differ.

const object = (apiVersion: string, kind: string, rest: { metadata?: JsonObject; spec?: JsonObject; status?: JsonObject } = {}): Manifest =>
  ({ apiVersion, kind, ...rest, metadata: { name: "x", ...rest.metadata } }) as Manifest;
const condition = (type: string, status: string, reason = "", message = "") => ({ type, status, reason, message });
const health = (manifest: Manifest) => computeHealth(manifest).health;

describe("the health of any object", () => {
  it("is Terminating once its deletion was asked for, whatever its status says", () => {
    const manifest = object("apps/v1", "Deployment", {
      metadata: { deletionTimestamp: "2026-10-05T03:12:00Z" },
      status: { availableReplicas: 1 },
    });
    expect(health(manifest)).toBe(Health.Terminating);
  });

  it("E130: is InProgress until its controller has seen just this generation, also where a restored status shows a later one", () => {
    const at = (status: JsonObject) => health(object("example.com/v1", "Widget", { metadata: { generation: 2 }, status }));
    expect([1, 2, 3].map((observedGeneration) => at({ observedGeneration }))).toEqual([
      Health.InProgress,
      Health.Current,
      Health.InProgress,
    ]);
    expect(at({ observedGeneration: 1, conditions: [condition("Ready", "True")] })).toBe(Health.InProgress);
    expect(at({})).toBe(Health.Current);
  });

  it("E139: is Terminating before it is anything else", () => {
    const manifest = object("example.com/v1", "Widget", {
      metadata: { generation: 2, deletionTimestamp: "2026-10-05T03:12:00Z" },
      status: { observedGeneration: 1, conditions: [condition("Stalled", "True")] },
    });
    expect(health(manifest)).toBe(Health.Terminating);
  });

  it.each(["apps/v1 Deployment", "v1 ConfigMap", "batch/v1 Job", "example.com/v1 Widget"])(
    "follows Stalled and Reconciling, whoever sets them on a %s",
    (type) => {
      const [apiVersion = "", kind = ""] = type.split(" ");
      const told = (...conditions: JsonObject[]) => computeHealth(object(apiVersion, kind, { status: { ...DONE, conditions } }));
      expect(told(condition("Stalled", "True", "X", "no quota"))).toEqual({ health: Health.Failed, message: "no quota" });
      expect(told(condition("Reconciling", "True", "X", "step 2"))).toEqual({ health: Health.InProgress, message: "step 2" });
      expect(told(condition("Stalled", "False"), condition("Reconciling", "False")).message).not.toContain("step");
    },
  );

  it.each<[string, JsonObject | undefined, Health]>([
    ["no status", undefined, Health.Current],
    ["an empty status", {}, Health.Current],
    ["Ready", { conditions: [condition("Ready", "True")] }, Health.Current],
    ["not Ready", { conditions: [condition("Ready", "False", "X", "waits for a lock")] }, Health.InProgress],
    ["Ready unknown", { conditions: [condition("Ready", "Unknown")] }, Health.InProgress],
    ["Reconciling", { conditions: [condition("Ready", "True"), condition("Reconciling", "True")] }, Health.InProgress],
    ["Stalled", { conditions: [condition("Ready", "True"), condition("Stalled", "True", "X", "no quota")] }, Health.Failed],
    ["conditions that nobody has agreed on", { conditions: [condition("Happy", "False")] }, Health.Current],
    ["conditions that are no list", { conditions: "Ready" }, Health.Current],
  ])("of a custom kind with %s", (_, status, expected) => {
    expect(health(object("example.com/v1", "Widget", status === undefined ? {} : { status }))).toBe(expected);
  });

  it("says why, in the words of the object's own conditions", () => {
    const status = { conditions: [condition("Ready", "False", "X", "waits for a lock")] };
    expect(computeHealth(object("example.com/v1", "Widget", { status })).message).toBe("waits for a lock");
  });
});

const REPLICAS = { replicas: 3 };
const DONE = { observedGeneration: 1, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3 };

describe("the health of a kind that Kubernetes has", () => {
  it.each<[string, Manifest, Health]>([
    ["a Deployment that nobody has seen", object("apps/v1", "Deployment", { spec: REPLICAS }), Health.InProgress],
    ["a Deployment that is rolled out", object("apps/v1", "Deployment", { spec: REPLICAS, status: DONE }), Health.Current],
    [
      "a Deployment with old pods left",
      object("apps/v1", "Deployment", { spec: REPLICAS, status: { ...DONE, replicas: 4 } }),
      Health.InProgress,
    ],
    [
      "a Deployment that is being updated",
      object("apps/v1", "Deployment", { spec: REPLICAS, status: { ...DONE, updatedReplicas: 1 } }),
      Health.InProgress,
    ],
    [
      "a Deployment that is not available",
      object("apps/v1", "Deployment", { spec: REPLICAS, status: { ...DONE, availableReplicas: 2 } }),
      Health.InProgress,
    ],
    [
      "a Deployment without replicas",
      object("apps/v1", "Deployment", { spec: { replicas: 0 }, status: { observedGeneration: 1 } }),
      Health.Current,
    ],
    [
      "a Deployment past its deadline",
      object("apps/v1", "Deployment", {
        spec: REPLICAS,
        status: { ...DONE, conditions: [condition("Progressing", "False", "ProgressDeadlineExceeded")] },
      }),
      Health.Failed,
    ],
    [
      "a Deployment whose new pods are all there",
      object("apps/v1", "Deployment", {
        spec: REPLICAS,
        status: { ...DONE, conditions: [condition("Progressing", "True", "NewReplicaSetAvailable"), condition("Available", "True")] },
      }),
      Health.Current,
    ],
    [
      "a Deployment whose pods may be old ones still",
      object("apps/v1", "Deployment", {
        spec: REPLICAS,
        status: { ...DONE, conditions: [condition("Progressing", "True", "ReplicaSetUpdated"), condition("Available", "True")] },
      }),
      Health.InProgress,
    ],
    [
      "a Deployment that cannot make its ReplicaSet",
      object("apps/v1", "Deployment", {
        spec: REPLICAS,
        status: { ...DONE, conditions: [condition("Progressing", "False", "ReplicaSetCreateError")] },
      }),
      Health.InProgress,
    ],
    [
      "a Deployment below its minimum",
      object("apps/v1", "Deployment", {
        spec: REPLICAS,
        status: { ...DONE, conditions: [condition("Available", "False", "MinimumReplicasUnavailable")] },
      }),
      Health.InProgress,
    ],
    [
      "a Deployment that somebody has paused",
      object("apps/v1", "Deployment", {
        spec: { ...REPLICAS, paused: true },
        status: { ...DONE, conditions: [condition("Progressing", "Unknown", "DeploymentPaused")] },
      }),
      Health.Current,
    ],
    ["a StatefulSet that nobody has seen", object("apps/v1", "StatefulSet", { spec: REPLICAS }), Health.InProgress],
    [
      "a StatefulSet with a pod that is not ready",
      object("apps/v1", "StatefulSet", { spec: REPLICAS, status: { ...DONE, readyReplicas: 2 } }),
      Health.InProgress,
    ],
    [
      "a StatefulSet that is being made smaller",
      object("apps/v1", "StatefulSet", { spec: REPLICAS, status: { ...DONE, replicas: 4 } }),
      Health.InProgress,
    ],
    [
      "a StatefulSet with a partition that is not reached",
      object("apps/v1", "StatefulSet", {
        spec: { replicas: 3, updateStrategy: { rollingUpdate: { partition: 1 } } },
        status: { ...DONE, updatedReplicas: 1, currentRevision: "a", updateRevision: "b" },
      }),
      Health.InProgress,
    ],
    [
      "a StatefulSet that is rolled out",
      object("apps/v1", "StatefulSet", { spec: REPLICAS, status: { ...DONE, currentRevision: "a", updateRevision: "a" } }),
      Health.Current,
    ],
    [
      "a StatefulSet with a new revision",
      object("apps/v1", "StatefulSet", { spec: REPLICAS, status: { ...DONE, currentRevision: "a", updateRevision: "b" } }),
      Health.InProgress,
    ],
    ["a StatefulSet with OnDelete", object("apps/v1", "StatefulSet", { spec: { updateStrategy: { type: "OnDelete" } } }), Health.Current],
    [
      "a StatefulSet with a partition that is reached",
      object("apps/v1", "StatefulSet", {
        spec: { replicas: 3, updateStrategy: { rollingUpdate: { partition: 2 } } },
        status: { ...DONE, updatedReplicas: 1, currentRevision: "a", updateRevision: "b" },
      }),
      Health.Current,
    ],
    ["a DaemonSet that nobody has counted nodes for", object("apps/v1", "DaemonSet", { status: DONE }), Health.InProgress],
    [
      "a DaemonSet that fits no node",
      object("apps/v1", "DaemonSet", { status: { observedGeneration: 1, desiredNumberScheduled: 0 } }),
      Health.Current,
    ],
    [
      "a DaemonSet on every node",
      object("apps/v1", "DaemonSet", {
        status: {
          observedGeneration: 1,
          desiredNumberScheduled: 2,
          currentNumberScheduled: 2,
          updatedNumberScheduled: 2,
          numberAvailable: 2,
          numberReady: 2,
        },
      }),
      Health.Current,
    ],
    [
      "a DaemonSet on one node of two",
      object("apps/v1", "DaemonSet", {
        status: {
          observedGeneration: 1,
          desiredNumberScheduled: 2,
          currentNumberScheduled: 2,
          updatedNumberScheduled: 2,
          numberAvailable: 1,
          numberReady: 1,
        },
      }),
      Health.InProgress,
    ],
    [
      "a ReplicaSet whose pods are refused",
      object("apps/v1", "ReplicaSet", { spec: REPLICAS, status: { conditions: [condition("ReplicaFailure", "True")] } }),
      Health.InProgress,
    ],
    [
      "a ReplicaSet that is complete",
      object("apps/v1", "ReplicaSet", {
        spec: REPLICAS,
        status: { replicas: 3, fullyLabeledReplicas: 3, availableReplicas: 3, readyReplicas: 3 },
      }),
      Health.Current,
    ],
    ["a Pod that runs", object("v1", "Pod", { status: { phase: "Running", conditions: [condition("Ready", "True")] } }), Health.Current],
    [
      "a Pod that is not ready",
      object("v1", "Pod", { status: { phase: "Running", conditions: [condition("Ready", "False")] } }),
      Health.InProgress,
    ],
    ["a Pod that has completed", object("v1", "Pod", { status: { phase: "Succeeded" } }), Health.Current],
    ["a Pod that has failed", object("v1", "Pod", { status: { phase: "Failed" } }), Health.Failed],
    ["a Pod that nobody has seen", object("v1", "Pod"), Health.InProgress],
    [
      "a Pod without its image",
      object("v1", "Pod", { status: { phase: "Pending", containerStatuses: [{ state: { waiting: { reason: "ImagePullBackOff" } } }] } }),
      Health.Failed,
    ],
    ["a Pod that cannot be scheduled yet", object("v1", "Pod", { status: { phase: "Pending" } }), Health.InProgress],
    [
      "a Pod that crashes in a loop",
      object("v1", "Pod", { status: { phase: "Running", containerStatuses: [{ state: { waiting: { reason: "CrashLoopBackOff" } } }] } }),
      Health.Failed,
    ],
    ["a claim that is bound", object("v1", "PersistentVolumeClaim", { status: { phase: "Bound" } }), Health.Current],
    ["a claim that waits", object("v1", "PersistentVolumeClaim", { status: { phase: "Pending" } }), Health.InProgress],
    ["a Service inside the cluster", object("v1", "Service", { spec: { type: "ClusterIP" } }), Health.Current],
    [
      "a load balancer that waits",
      object("v1", "Service", { spec: { type: "LoadBalancer" }, status: { loadBalancer: {} } }),
      Health.InProgress,
    ],
    [
      "a load balancer with an address",
      object("v1", "Service", { spec: { type: "LoadBalancer" }, status: { loadBalancer: { ingress: [{ ip: "1.2.3.4" }] } } }),
      Health.Current,
    ],
    ["a Job that has not begun", object("batch/v1", "Job"), Health.InProgress],
    ["a Job that runs", object("batch/v1", "Job", { status: { startTime: "2026-10-05T03:12:00Z" } }), Health.Current],
    [
      "a Job that has failed",
      object("batch/v1", "Job", { status: { conditions: [condition("Failed", "True", "BackoffLimitExceeded")] } }),
      Health.Failed,
    ],
    ["a Job that is complete", object("batch/v1", "Job", { status: { conditions: [condition("Complete", "True")] } }), Health.Current],
    ["a suspended Job", object("batch/v1", "Job", { spec: { suspend: true } }), Health.Current],
    ["a CronJob", object("batch/v1", "CronJob"), Health.Current],
    [
      "a budget, even over fewer pods than it wants, as over a workload that is scaled to zero",
      object("policy/v1", "PodDisruptionBudget", { status: { currentHealthy: 0, desiredHealthy: 1, expectedPods: 0 } }),
      Health.Current,
    ],
    [
      "a budget whose pods cannot be found",
      object("policy/v1", "PodDisruptionBudget", {
        status: { conditions: [condition("DisruptionAllowed", "False", "SyncFailed", "found no controller")] },
      }),
      Health.InProgress,
    ],
    [
      "an autoscaler, whether it can scale or not: its target's health says the rest",
      object("autoscaling/v2", "HorizontalPodAutoscaler", { status: { conditions: [condition("ScalingActive", "False")] } }),
      Health.Current,
    ],
    ["a CRD that is new", object("apiextensions.k8s.io/v1", "CustomResourceDefinition"), Health.InProgress],
    [
      "a CRD that is being installed",
      object("apiextensions.k8s.io/v1", "CustomResourceDefinition", {
        status: { conditions: [condition("NamesAccepted", "True"), condition("Established", "False", "Installing")] },
      }),
      Health.InProgress,
    ],
    [
      "a CRD that cannot be installed",
      object("apiextensions.k8s.io/v1", "CustomResourceDefinition", {
        status: { conditions: [condition("Established", "False", "NotAccepted")] },
      }),
      Health.Failed,
    ],
    [
      "a CRD that is served",
      object("apiextensions.k8s.io/v1", "CustomResourceDefinition", { status: { conditions: [condition("Established", "True")] } }),
      Health.Current,
    ],
    [
      "a CRD whose names are taken",
      object("apiextensions.k8s.io/v1", "CustomResourceDefinition", { status: { conditions: [condition("NamesAccepted", "False")] } }),
      Health.Failed,
    ],
    [
      "an APIService without its server",
      object("apiregistration.k8s.io/v1", "APIService", { status: { conditions: [condition("Available", "False")] } }),
      Health.InProgress,
    ],
    ["a ConfigMap", object("v1", "ConfigMap"), Health.Current],
  ])("%s", (_, manifest, expected) => {
    expect(health(manifest)).toBe(expected);
  });

  it("is told by group and kind: a kind of the same name in another group is a custom one", () => {
    expect(health(object("serving.example.com/v1", "Service", { spec: { type: "LoadBalancer" } }))).toBe(Health.Current);
    expect(health(object("example.com/v1", "Deployment"))).toBe(Health.Current);
  });
});
