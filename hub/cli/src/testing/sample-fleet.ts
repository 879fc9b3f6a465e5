import type { ObjectRef } from "@muster/shared/model";
import type { Bundle, ChangeNotice, Cluster, Condition, Drift, Fleet, FleetEvent, Revision, Target, TargetDetail } from "../api-views.ts";

/** The time at which the sample is looked at. */
export const SAMPLE_NOW = Date.parse("2026-10-05T03:12:00Z");

const COMMIT = "3f2a1b9c4d5e6f708192a3b4c5d6e7f809101112";
const OLD_COMMIT = "9c8b7a6d5e4f30213243546576879809a0b1c2d3";
const REVISION = `main@sha1:${COMMIT}`;
const OLD_REVISION = `main@sha1:${OLD_COMMIT}`;
const digest = (digit: string) => `sha256:${digit.repeat(64)}`;
const ago = (seconds: number) => new Date(SAMPLE_NOW - seconds * 1_000).toISOString();
const ref = (group: string, kind: string, namespace: string, name: string): ObjectRef => ({ group, kind, namespace, name });

/** What the fleet is, as mutable data: a test changes it and calls `notify`. */
export interface SampleFleet {
  /** false: the hub has not read Git yet. */
  loaded: boolean;
  fleet: Fleet;
  clusters: Cluster[];
  bundles: Bundle[];
  targets: TargetDetail[];
  drift: Drift[];
  revisions: Revision[];
  /** Newest first. */
  events: FleetEvent[];
  notify(notice: ChangeNotice): void;
  /** Readers of the watch. */
  readonly listeners: Set<(notice: ChangeNotice) => void>;
}

const EU = { env: "prod", region: "eu" };
const US = { env: "prod", region: "us" };
const LAB = { env: "lab", region: "eu" };

const BAD_VALUES: Condition = {
  type: "Held",
  status: "True",
  reason: "VARIABLE_UNSET",
  message: "REPLICAS has no value for cluster lab-1 and no default",
  at: "apps/podinfo/bundle.yaml:14",
  since: ago(1_500),
};

const PODINFO = ref("apps", "Deployment", "web", "podinfo");

function target(bundle: string, cluster: string, labels: Target["labels"], changes: Partial<TargetDetail> = {}): TargetDetail {
  return {
    bundle,
    cluster,
    labels,
    sync: "Synced",
    health: "Current",
    freshness: "Live",
    objects: 4,
    drifted: 0,
    failed: 0,
    desired: digest("a"),
    applied: digest("a"),
    revision: REVISION,
    conditions: [],
    exceptions: [],
    source: "fleet",
    directory: `apps/${bundle}`,
    layers: [],
    driftMode: "correct",
    ...changes,
  };
}

function sampleTargets(): TargetDetail[] {
  const silent = { freshness: "Stale", sync: "Unknown", health: "Unknown", revision: OLD_REVISION } as const;
  return [
    target("baseline", "eu-west-1", EU, { objects: 6, directory: "platform/baseline" }),
    target("podinfo", "eu-west-1", EU, {
      sync: "OutOfSync",
      drifted: 2,
      layers: ["apps/podinfo/bundle.yaml:16"],
      exceptions: [
        {
          ref: PODINFO,
          bundle: "podinfo",
          health: "Current",
          drift: {
            kind: "modified",
            manager: "kubectl-edit",
            at: ago(192),
            paths: [".spec.replicas", ".spec.template.spec.containers[0].image"],
            fields: [
              { path: ".spec.replicas", wanted: "2", got: "5" },
              {
                path: ".spec.template.spec.containers[0].image",
                wanted: '"ghcr.io/stefanprodan/podinfo:6.9.0"',
                got: '"ghcr.io/stefanprodan/podinfo:6.9.1-rc.1"',
                manager: "kubectl-set",
                at: ago(3_700),
              },
            ],
          },
        },
        { ref: ref("", "Service", "web", "podinfo"), bundle: "podinfo", health: "NotFound", drift: { kind: "missing", paths: [] } },
      ],
    }),
    target("guestbook", "eu-west-1", EU, {
      sync: "Pending",
      health: "Current",
      reason: "DELETION_HELD",
      message: "31 deletions wait for an approval",
    }),
    target("baseline", "us-east-1", US, { ...silent, objects: 6, directory: "platform/baseline" }),
    target("podinfo", "us-east-1", US, silent),
    target("baseline", "lab-1", LAB, { objects: 6, directory: "platform/baseline" }),
    target("podinfo", "lab-1", LAB, { desired: digest("b"), applied: digest("b"), revision: OLD_REVISION, conditions: [BAD_VALUES] }),
    target("guestbook", "lab-1", LAB, {
      sync: "Failed",
      health: "Failed",
      failed: 1,
      applied: digest("c"),
      reason: "KUBE_DENIED",
      message: 'admission webhook "policy.acme.example" denied the request: image tag latest is not allowed',
      exceptions: [
        {
          ref: ref("apps", "Deployment", "guestbook", "guestbook"),
          bundle: "guestbook",
          health: "Failed",
          code: "KUBE_DENIED",
          message: 'admission webhook "policy.acme.example" denied the request: image tag latest is not allowed',
        },
      ],
    }),
  ];
}

function sampleClusters(): Cluster[] {
  const common = { paused: false, revision: REVISION, agentVersion: "0.1.0", kubernetesVersion: "v1.36.3", conditions: [] };
  const held =
    "31 of 62 objects left Git and are more than the budget of 20 %; to delete them, add del-7c1f0a92be34 to spec.deletion.approvals of the Fleet document";
  return [
    {
      ...common,
      name: "eu-west-1",
      labels: EU,
      freshness: "Live",
      lastHeard: ago(3),
      connected: true,
      sync: "OutOfSync",
      health: "Current",
      targets: { total: 3, synced: 1, healthy: 3, drifted: 1, failed: 0 },
      desiredGeneration: 42,
      appliedGeneration: 41,
      heldDeletion: {
        id: "del-7c1f0a92be34",
        objects: 31,
        message: held,
        sample: [
          ref("", "ConfigMap", "guestbook", "guestbook"),
          ref("", "Service", "guestbook", "guestbook"),
          ref("apps", "Deployment", "guestbook", "guestbook"),
        ],
      },
      conditions: [{ type: "DeletionHeld", status: "True", reason: "DELETION_HELD", message: held, since: ago(720) }],
    },
    {
      ...common,
      name: "lab-1",
      labels: LAB,
      freshness: "Live",
      lastHeard: ago(8),
      connected: true,
      sync: "Failed",
      health: "Failed",
      targets: { total: 3, synced: 2, healthy: 2, drifted: 0, failed: 2 },
      desiredGeneration: 17,
      appliedGeneration: 17,
    },
    {
      ...common,
      name: "us-east-1",
      labels: US,
      freshness: "Stale",
      lastHeard: ago(260),
      connected: false,
      sync: "Unknown",
      health: "Unknown",
      revision: OLD_REVISION,
      targets: { total: 2, synced: 0, healthy: 0, drifted: 0, failed: 0 },
      desiredGeneration: 39,
      appliedGeneration: 38,
    },
  ];
}

function sampleBundles(): Bundle[] {
  const common = { source: "fleet", driftMode: "correct" };
  return [
    {
      ...common,
      name: "baseline",
      directory: "platform/baseline",
      targets: { total: 3, synced: 2, healthy: 2, drifted: 0, failed: 0, unknown: 1 },
      dependsOn: [],
      conditions: [],
    },
    {
      ...common,
      name: "guestbook",
      directory: "apps/guestbook",
      targets: { total: 2, synced: 0, healthy: 1, drifted: 0, failed: 1, unknown: 0 },
      dependsOn: ["baseline"],
      conditions: [],
    },
    {
      ...common,
      name: "podinfo",
      directory: "apps/podinfo",
      targets: { total: 3, synced: 1, healthy: 2, drifted: 1, failed: 1, unknown: 1 },
      dependsOn: ["baseline"],
      conditions: [BAD_VALUES],
    },
  ];
}

function sampleEvents(): FleetEvent[] {
  return [
    {
      id: 5,
      at: ago(192),
      type: "DriftDetected",
      severity: "warning",
      cluster: "eu-west-1",
      bundle: "podinfo",
      object: "Deployment web/podinfo",
      message: "kubectl-edit changed .spec.replicas",
    },
    { id: 4, at: ago(250), type: "AgentDisconnected", severity: "warning", cluster: "us-east-1", message: "The agent's stream ended" },
    {
      id: 3,
      at: ago(720),
      type: "DeletionHeld",
      severity: "warning",
      cluster: "eu-west-1",
      bundle: "guestbook",
      message: "31 deletions wait for an approval",
    },
    { id: 2, at: ago(1_500), type: "RenderFailed", severity: "warning", cluster: "lab-1", bundle: "podinfo", message: BAD_VALUES.message },
    { id: 1, at: ago(1_510), type: "Published", severity: "info", cluster: "eu-west-1", message: `Generation 42 of ${REVISION}` },
  ];
}

/** A fleet of three clusters in which most of what can be wrong is wrong. */
export function createSampleFleet(): SampleFleet {
  const listeners = new Set<(notice: ChangeNotice) => void>();
  return {
    loaded: true,
    fleet: {
      healthy: false,
      revision: REVISION,
      clusters: { total: 3, live: 2, stale: 1, never: 0, synced: 0, healthy: 0 },
      targets: { total: 8, synced: 3, healthy: 5, drifted: 1, failed: 2, unknown: 2 },
      sources: [{ name: "fleet", url: "https://git.example/fleet.git", ref: "main", commit: COMMIT, fetchedAt: ago(12), conditions: [] }],
      problems: [{ ...BAD_VALUES, message: "podinfo: REPLICAS has no value for cluster lab-1 and no default (lab-1)" }],
    },
    clusters: sampleClusters(),
    bundles: sampleBundles(),
    targets: sampleTargets(),
    drift: sampleTargets().flatMap((one) =>
      one.exceptions.flatMap((exception) =>
        exception.drift ? [{ ...exception, cluster: one.cluster, labels: one.labels, freshness: one.freshness, since: ago(190) }] : [],
      ),
    ),
    revisions: [
      {
        revision: REVISION,
        at: ago(1_512),
        subject: "podinfo: one value for replicas",
        author: "Ada Example",
        publishedSlices: 2,
        problems: 1,
        current: true,
        clusters: { total: 3, applied: 1 },
      },
      {
        revision: OLD_REVISION,
        at: ago(90_000),
        subject: "guestbook: pin the image",
        author: "Grace Example",
        publishedSlices: 3,
        problems: 0,
        current: false,
        clusters: { total: 0, applied: 0 },
      },
    ],
    events: sampleEvents(),
    listeners,
    notify(notice) {
      for (const listener of listeners) listener(notice);
    },
  };
}

/** A small fleet in which all is well. */
export function createHealthyFleet(): SampleFleet {
  const sample = createSampleFleet();
  sample.clusters = sampleClusters()
    .slice(1, 2)
    .map((cluster) => ({
      ...cluster,
      sync: "Synced",
      health: "Current",
      targets: { total: 1, synced: 1, healthy: 1, drifted: 0, failed: 0 },
    }));
  sample.targets = sampleTargets().filter(({ bundle, cluster }) => bundle === "baseline" && cluster === "lab-1");
  sample.bundles = [];
  sample.drift = [];
  sample.fleet = {
    ...sample.fleet,
    healthy: true,
    clusters: { total: 1, live: 1, stale: 0, never: 0, synced: 1, healthy: 1 },
    targets: { total: 1, synced: 1, healthy: 1, drifted: 0, failed: 0, unknown: 0 },
    problems: [],
  };
  return sample;
}
