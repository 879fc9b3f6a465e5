import {
  type BundleReport,
  type ClusterReport,
  DEFAULT_DELETION_BUDGET,
  DriftKind,
  Health,
  type ObjectException,
  type Slice,
  SyncState,
} from "@muster/shared/model";
import { ManualClock } from "../../../../test/rig/manual-clock.ts";
import type { AgentStatus } from "../../agents/agent-sessions.ts";
import type { BundleDefinition, ClusterDefinition, FleetModel } from "../../fleet/model.ts";
import type { PipelineResult } from "../desired-state.ts";
import { createFleetStatus, type FleetStatus } from "../fleet-status.ts";

export const LEASE_MS = 90_000;
export const COMMIT = { source: "fleet", ref: "main", commit: "3f2a1b9c4d5e6f708192a3b4c5d6e7f809101112" };
export const FACTS = { agentVersion: "0.1.0", kubernetesVersion: "v1.36.3", apiVersions: [], clusterScopedKinds: [] };
export const cluster = (name: string): ClusterDefinition => ({
  name,
  labels: { env: "prod" },
  variables: {},
  paused: false,
  at: { file: "c.yaml" },
});
export const WEB: BundleDefinition = {
  name: "web",
  source: "fleet",
  directory: "apps/web",
  targets: [{ all: true }],
  variables: {},
  patches: [],
  layers: [],
  at: { file: "apps/web/bundle.yaml" },
  options: { drift: { mode: "correct", ignore: [] }, prune: true, createNamespace: false, dependsOn: [] },
};
export const digest = (letter: string) => `sha256:${letter.repeat(64)}` as const;
export const slice = (name: string, letter: string, generation = 1, more: Partial<Slice> = {}): Slice => ({
  version: 1,
  trustDomain: "muster.local",
  cluster: name,
  epoch: 1,
  generation,
  commits: [COMMIT],
  paused: false,
  deletionBudget: DEFAULT_DELETION_BUDGET,
  approvedDeletions: [],
  bundles: [
    {
      name: "web",
      state: "desired",
      manifestSet: { digest: digest(letter), blob: "b", chunks: 1, bytes: 1 },
      objects: ["a_web__ConfigMap"],
      options: WEB.options,
    },
  ],
  ...more,
});
export const result = (
  names: readonly string[],
  more: Partial<Omit<PipelineResult, "model">> & { model?: Partial<FleetModel> } = {},
): PipelineResult => {
  const clusters = new Map(names.map((name) => [name, cluster(name)]));
  const model: FleetModel = {
    commits: [COMMIT],
    clusters,
    bundles: new Map([["web", WEB]]),
    problems: [],
    heldBundles: new Set(),
    heldClusters: new Set(),
    complete: true,
    targets: [...clusters.values()].map((one) => ({ cluster: one, bundle: WEB, layers: [] })),
    deletionBudget: DEFAULT_DELETION_BUDGET,
    approvedDeletions: [],
    ...more.model,
  };
  return {
    problems: [],
    waiting: [],
    notices: new Map(),
    slices: new Map(names.map((name) => [name, slice(name, "a")])),
    moved: names.length,
    failed: new Map(),
    commit: { subject: "Change", author: "Ada" },
    ...more,
    model,
  };
};
export const REF = { group: "", kind: "ConfigMap", namespace: "a", name: "web" };
export const bundleReport = (more: Partial<BundleReport> = {}): BundleReport => ({
  bundle: "web",
  state: SyncState.Synced,
  health: Health.Current,
  applied: digest("a"),
  objects: 1,
  drifted: 0,
  failed: 0,
  ...more,
});
/** As an agent reports that has taken and applied just this generation. */
export const at = (generation: number): Pick<ClusterReport, "seen" | "applied"> => ({
  seen: { epoch: 1, generation },
  applied: { epoch: 1, generation },
});
export const report = (bundle: Partial<BundleReport> = {}, more: Partial<ClusterReport> = {}): ClusterReport => ({
  ...at(1),
  bundles: [bundleReport(bundle)],
  ...more,
});
export const update = (more: Partial<AgentStatus> = {}): AgentStatus => ({
  restart: false,
  complete: true,
  exceptions: [],
  cleared: [],
  events: [],
  ...more,
});
export const drifted: ObjectException = {
  ref: REF,
  bundle: "web",
  health: Health.Current,
  drift: { kind: DriftKind.Modified, manager: "kubectl-edit", paths: [".data.x"] },
};

/** A hub's status with a source that can be fetched, at a time that only a test moves. */
export function createSampleStatus(): { readonly status: FleetStatus; readonly clock: ManualClock } {
  const clock = new ManualClock(Date.parse("2026-10-05T03:12:00Z"));
  const status = createFleetStatus({ clock, leaseMs: LEASE_MS });
  status.recordSource({ name: "fleet", url: "https://git.example/fleet", ref: "main", commit: COMMIT.commit }, undefined);
  return { status, clock };
}

/** An agent says Hello and then all that it knows. */
export function connect(status: FleetStatus, name: string, first: AgentStatus = update({ restart: true, report: report() })): void {
  status.connected(name, "i", FACTS, undefined);
  status.status(name, first);
}
