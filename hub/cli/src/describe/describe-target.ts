import { describeObjectRef, Freshness } from "@muster/shared/model";
import type { ApiClient } from "../api-client.ts";
import type { Cluster, Drift, FleetEvent, Inspection, LiveObject, TargetDetail } from "../api-views.ts";
import type { Cli } from "../cli.ts";
import { formatAge } from "../output/age.ts";
import { Report } from "../output/report.ts";
import { type Column, formatTable } from "../output/table.ts";
import { addCondition, addException, addHeldDeletion, addSliceProblem, isInOrder } from "../problem-lines.ts";
import { bundlePlace } from "../resources/bundles.ts";
import { healthWord, shortDigest, shortRevision, targetWord } from "../words.ts";
import { addSilence, EVENTS_SHOWN } from "./describe-cluster.ts";
import { addEvents } from "./event-lines.ts";
import { ownershipFields } from "./ownership-fields.ts";

/** All that is known of a target. */
export interface TargetPage {
  readonly target: TargetDetail;
  readonly cluster: Cluster;
  readonly drift: readonly Drift[];
  /** Newest first. */
  readonly events: readonly FleetEvent[];
  /** The objects, if asked for. */
  readonly objects?: readonly LiveObject[];
  /** Present if those are not all; the agent's words. */
  readonly truncated?: string;
}

/** Throws API_NOT_FOUND, and AGENT_OFFLINE if the objects were asked for and the agent is not there. */
export async function fetchTarget(api: ApiClient, bundle: string, name: string, withObjects: boolean): Promise<TargetPage> {
  const path = `/targets/${encodeURIComponent(bundle)}/${encodeURIComponent(name)}`;
  const query = { bundle, cluster: name };
  const target = await api.get<TargetDetail>(path);
  const [cluster, drift, events, objects] = await Promise.all([
    api.get<Cluster>(`/clusters/${encodeURIComponent(name)}`),
    api.list<Drift>("/drift", query),
    api.list<FleetEvent>("/events", query, EVENTS_SHOWN),
    withObjects ? api.get<Inspection>(`${path}/objects`) : undefined,
  ]);
  const { items, truncated } = objects ?? {};
  return { target, cluster, drift, events, ...(items && { objects: items }), ...(truncated && { truncated }) };
}

const OBJECT_COLUMNS: readonly Column<LiveObject>[] = [
  { title: "OBJECT", cell: ({ ref }) => describeObjectRef(ref), elastic: true },
  { title: "HEALTH", cell: ({ health }) => healthWord(health) },
  { title: "LAST ACTION", cell: ({ lastAction }) => lastAction },
  {
    title: "DRIFT",
    cell: ({ drift }) => (drift ? { text: `${drift.kind}${drift.manager ? ` by ${drift.manager}` : ""}`, tone: "warn" } : ""),
  },
  {
    title: "ALSO OWNED BY",
    cell: ({ sharedWith = [] }) => sharedWith.map(({ manager, paths }) => `${manager}: ${paths.join(", ")}`).join("; "),
    elastic: true,
  },
  { title: "MESSAGE", cell: ({ message }) => message, elastic: true },
];

/** Hardly any object has an owner beside Muster; then there is no column for it. */
function columnsFor(objects: readonly LiveObject[]): readonly Column<LiveObject>[] {
  return objects.some(({ sharedWith }) => sharedWith) ? OBJECT_COLUMNS : OBJECT_COLUMNS.filter(({ title }) => title !== "ALSO OWNED BY");
}

/** What is wrong first, object by object. */
export function targetLines(cli: Cli, page: TargetPage): readonly string[] {
  const { target, cluster, events, objects } = page;
  const nowMs = cli.now();
  const report = new Report(cli.paint, cli.width);
  const state = targetWord(target, cluster.lastHeard, nowMs);
  report.headline("Target", `${target.bundle} on ${target.cluster}`, state);
  addProblems(report, page, nowMs);
  report.section("About");
  report.fields([
    ["State", state.text],
    ["Health", healthWord(target.health).text],
    ["Heard", cluster.lastHeard ? `${formatAge(cluster.lastHeard, nowMs)} ago` : "never"],
    [
      "Objects",
      `${target.objects}${target.drifted > 0 ? `, ${target.drifted} drifted` : ""}${target.failed > 0 ? `, ${target.failed} failed` : ""}`,
    ],
    ["Revision", shortRevision(target.revision)],
    ["Wanted", shortDigest(target.desired)],
    [
      "Applied",
      target.applied === undefined
        ? "nothing yet"
        : `${shortDigest(target.applied)}${target.applied === target.desired ? " (as wanted)" : ""}`,
    ],
    ["In Git", bundlePlace(target)],
    ["Blocked by", (target.blockedBy ?? []).join("; ")],
    ["Layers", target.layers.join(", ")],
    ["Drift mode", target.driftMode],
    ...ownershipFields(target),
  ]);
  if (objects) {
    report.section(`Objects (${objects.length}), as the agent sees them now`);
    if (page.truncated) report.item("warn", "Not all of them", page.truncated);
    report.raw(formatTable(columnsFor(objects), objects, { paint: cli.paint, width: cli.width, indent: 2 }));
  }
  addEvents(report, cli, events, ["CLUSTER", "BUNDLE"]);
  return report.lines;
}

function addProblems(report: Report, { target, cluster, drift }: TargetPage, nowMs: number): void {
  const state = targetWord(target, cluster.lastHeard, nowMs);
  const live = target.freshness === Freshness.Live;
  if (!isInOrder(target) || !live || target.exceptions.length > 0 || target.conditions.length > 0)
    report.section(isInOrder(target) ? "Remarks" : "What is wrong");
  if (!live) addSilence(report, cluster, nowMs);
  for (const condition of target.conditions) addCondition(report, condition, nowMs);
  addSliceProblem(report, cluster);
  const told = target.exceptions.some(({ code, message }) => code === target.reason && message === target.message);
  if (!told && (target.reason || target.message))
    report.item(state.tone === "good" ? "faint" : state.tone, state.text, target.message ?? "", { code: target.reason });
  if (target.reason === "DELETION_HELD" && cluster.heldDeletion) addHeldDeletion(report, cluster.heldDeletion);
  const since = new Map(drift.map((one) => [describeObjectRef(one.ref), one.since]));
  for (const exception of target.exceptions) addException(report, exception, since.get(describeObjectRef(exception.ref)), nowMs);
}
