import { Freshness } from "@muster/shared/model";
import type { ApiClient } from "../api-client.ts";
import type { Cluster, Drift, FleetEvent, Target } from "../api-views.ts";
import type { Cli } from "../cli.ts";
import { formatAge } from "../output/age.ts";
import { Report } from "../output/report.ts";
import { formatTable } from "../output/table.ts";
import { addCondition, addException, addHeldDeletion, addSliceProblem, addTarget, isInOrder } from "../problem-lines.ts";
import { generation } from "../resources/clusters.ts";
import { DRIFT } from "../resources/drift.ts";
import { TARGETS } from "../resources/targets.ts";
import { clusterWord, formatLabels, healthWord, shortRevision } from "../words.ts";
import { addEvents } from "./event-lines.ts";

/** Events that a page shows. */
export const EVENTS_SHOWN = 8;

/** All that is known of a cluster. */
export interface ClusterPage {
  readonly cluster: Cluster;
  readonly targets: readonly Target[];
  readonly drift: readonly Drift[];
  /** Newest first. */
  readonly events: readonly FleetEvent[];
}

/** Throws API_NOT_FOUND. */
export async function fetchCluster(api: ApiClient, name: string): Promise<ClusterPage> {
  const query = { cluster: name };
  const [cluster, targets, drift, events] = await Promise.all([
    api.get<Cluster>(`/clusters/${encodeURIComponent(name)}`),
    api.list<Target>("/targets", query),
    api.list<Drift>("/drift", query),
    api.list<FleetEvent>("/events", query, EVENTS_SHOWN),
  ]);
  return { cluster, targets, drift, events };
}

/** What is wrong first, then what the cluster is. */
export function clusterLines(cli: Cli, { cluster, targets, drift, events }: ClusterPage): readonly string[] {
  const nowMs = cli.now();
  const report = new Report(cli.paint, cli.width);
  report.headline("Cluster", cluster.name, clusterWord(cluster, nowMs));
  const live = cluster.freshness === Freshness.Live;
  const wrong = live
    ? targets.filter((target) => !isInOrder(target) && !(cluster.heldDeletion && target.reason === "DELETION_HELD")).sort(TARGETS.compare)
    : [];
  const told = ["DeletionHeld", "SliceRefused"];
  const conditions = cluster.conditions.filter((condition) => !told.includes(condition.type));
  if (!live || cluster.heldDeletion || cluster.sliceProblem || conditions.length > 0 || wrong.length > 0) report.section("What is wrong");
  if (!live) addSilence(report, cluster, nowMs);
  addSliceProblem(report, cluster);
  if (cluster.heldDeletion) addHeldDeletion(report, cluster.heldDeletion);
  for (const condition of conditions) addCondition(report, condition, nowMs);
  for (const target of wrong) addTarget(report, target, target.bundle, nowMs);
  if (drift.length > 0) {
    report.section(live ? "Drift" : "Drift, when the cluster was last heard");
    for (const one of [...drift].sort(DRIFT.compare)) addException(report, one, one.since, nowMs);
  }
  report.section("About");
  report.fields([
    ["State", clusterWord(cluster, nowMs).text],
    ["Health", healthWord(cluster.health).text],
    [
      "Heard",
      cluster.lastHeard ? `${formatAge(cluster.lastHeard, nowMs)} ago, ${cluster.connected ? "connected" : "not connected"}` : "never",
    ],
    ["Paused", cluster.paused ? "yes, in Git" : undefined],
    ["Generation", generation(cluster)],
    ["Revision", shortRevision(cluster.revision)],
    ["Labels", formatLabels(cluster.labels).replaceAll(",", ", ")],
    ["Agent", cluster.agentVersion],
    ["Kubernetes", cluster.kubernetesVersion],
  ]);
  report.section(`Targets (${cluster.targets.synced}/${cluster.targets.total} synced)`);
  const columns = TARGETS.columns(nowMs).filter(({ title, wide }) => title !== "CLUSTER" && !wide);
  const rows = targets.map((target) => ({ ...target, ...(cluster.lastHeard && { lastHeard: cluster.lastHeard }) })).sort(TARGETS.compare);
  report.raw(formatTable(columns, rows, { paint: cli.paint, width: cli.width, indent: 2 }));
  addEvents(report, cli, events);
  return report.lines;
}

/** An agent that is not heard: what is shown is old, and what to look at. */
export function addSilence(report: Report, cluster: Cluster, nowMs: number): void {
  const never = cluster.freshness === Freshness.Never;
  const title = never ? "Never heard" : `Not heard for ${formatAge(cluster.lastHeard, nowMs)}`;
  const message = never
    ? "No agent of this cluster has reported to this hub yet."
    : "Everything below is as it was then; the cluster goes on with its last good slice.";
  report.item("bad", title, message);
  report.note("Look at the agent's pod (kubectl -n muster-agent get pods) and its way to the hub.", "faint");
}
