import { CodedError } from "@muster/shared/errors";
import { Freshness } from "@muster/shared/model";
import { type Command, Option } from "commander";
import type { ApiClient } from "../api-client.ts";
import type { Cluster, Condition, Fleet, Target } from "../api-views.ts";
import type { Cli } from "../cli.ts";
import { formatAge } from "../output/age.ts";
import { Report } from "../output/report.ts";
import { formatStructured } from "../output/structured.ts";
import { addCondition, addHeldDeletion, addSliceProblem, addTarget, isInOrder } from "../problem-lines.ts";
import { CLUSTERS } from "../resources/clusters.ts";
import { TARGETS } from "../resources/targets.ts";
import { clusterWord, isHolding, plural, shortRevision } from "../words.ts";

/** Clusters and targets that are told; the rest is counted. */
const MAX_CLUSTERS = 8;
const MAX_TARGETS = 4;
const UNHEALTHY_EXIT_CODE = 1;

/** `muster status`: exit code 0 if all is well, 1 if not, 3 if the hub cannot be reached. */
export function addStatusCommand(program: Command, cli: Cli): void {
  program
    .command("status")
    .summary("the fleet at a glance; exit code 0 if all is well, 1 if not")
    .description("The fleet at a glance. Exit code 0 if all is well, 1 if something is not in order, 3 if the hub cannot be reached.")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["text", "json", "yaml"]).default("text"))
    .action(async (options: { output: "text" | "json" | "yaml" }) => {
      const api = await cli.api();
      const fleet = await api.get<Fleet>("/fleet");
      if (!fleet.healthy) cli.exitCode = UNHEALTHY_EXIT_CODE;
      cli.print(options.output === "text" ? await statusLines(cli, api, fleet) : await formatStructured(fleet, options.output));
    });
}

async function statusLines(cli: Cli, api: ApiClient, fleet: Fleet): Promise<readonly string[]> {
  const report = new Report(cli.paint, cli.width, { hints: false });
  const state = fleet.healthy ? ({ text: "Healthy", tone: "good" } as const) : ({ text: "Needs attention", tone: "bad" } as const);
  report.headline("Fleet at", shortRevision(fleet.revision) || "no revision yet", state);
  report.raw([""]);
  addCounts(report, fleet, cli.now());
  if (fleet.problems.length > 0) {
    report.section("Wrong in Git or in publishing");
    for (const problem of fleet.problems) addCondition(report, problem, cli.now());
  }
  for (const source of fleet.sources.filter(({ conditions }) => conditions.length > 0)) {
    report.section(`Source ${source.name}`);
    for (const condition of source.conditions) addCondition(report, condition, cli.now());
  }
  if (!fleet.healthy) await addClusters(report, cli, api).catch(ifNotReady);
  return report.lines;
}

function addCounts(report: Report, { clusters, targets, sources }: Fleet, nowMs: number): void {
  const parts = (list: readonly (readonly [number, string])[]) =>
    list
      .filter(([value]) => value > 0)
      .map(([value, text]) => `${value} ${text}`)
      .join(" · ");
  report.fields([
    [
      "Clusters",
      `${clusters.synced}/${clusters.total} synced · ${clusters.healthy}/${clusters.total} healthy`,
      clusters.healthy < clusters.total || clusters.synced < clusters.total ? "warn" : "good",
    ],
    [
      "",
      parts([
        [clusters.live, "live"],
        [clusters.stale, "stale"],
        [clusters.never, "never heard"],
      ]),
    ],
    [
      "Targets",
      `${targets.synced}/${targets.total} synced · ${targets.healthy}/${targets.total} healthy`,
      targets.healthy < targets.total || targets.synced < targets.total ? "warn" : "good",
    ],
    [
      "",
      parts([
        [targets.failed, "failed or held"],
        [targets.drifted, "drifted"],
        [targets.unknown, "unknown"],
      ]),
    ],
    ...sources.map((source): [string, string] => [
      "Source",
      [
        source.name,
        `${source.ref}@${source.commit?.slice(0, 7) ?? "none"}`,
        source.fetchedAt ? `fetched ${formatAge(source.fetchedAt, nowMs)} ago` : "never fetched",
      ].join(" · "),
    ]),
  ]);
}

/** The worst clusters, and what is wrong on each. */
async function addClusters(report: Report, cli: Cli, api: ApiClient): Promise<void> {
  const nowMs = cli.now();
  const needing = (await api.list<Cluster>("/clusters")).filter((cluster) => !isClusterInOrder(cluster)).sort(CLUSTERS.compare);
  if (needing.length === 0) return;
  const told = needing.slice(0, MAX_CLUSTERS);
  const targets = await Promise.all(
    told.map((cluster) => (isTold(cluster) ? api.list<Target>("/targets", { cluster: cluster.name }) : [])),
  );
  report.section(`${plural(needing.length, "cluster")} to look at`);
  for (const [index, cluster] of told.entries()) {
    const word = clusterWord(cluster, nowMs);
    const { synced, total } = cluster.targets;
    report.item(
      word.tone === "good" ? "warn" : word.tone,
      `${cluster.name}: ${word.tone === "good" ? cluster.health : word.text}`,
      `${synced}/${total} synced`,
    );
    const inner = new Report(cli.paint, cli.width === undefined ? undefined : cli.width - 4, { hints: false });
    addWrong(inner, cluster, targets[index] ?? [], nowMs);
    report.raw(inner.lines.map((line) => `    ${line}`));
  }
  if (needing.length > told.length) report.note(`… and ${needing.length - told.length} more: muster get clusters`, "faint");
  const [worst] = told;
  if (worst) report.raw(["", cli.paint("faint", `More: muster describe cluster ${worst.name}`)]);
}

/** What is wrong on one cluster. */
function addWrong(report: Report, cluster: Cluster, targets: readonly Target[], nowMs: number): void {
  const { heldDeletion } = cluster;
  addSliceProblem(report, cluster);
  if (heldDeletion) addHeldDeletion(report, heldDeletion);
  for (const condition of cluster.conditions.filter((one) => isHolding(one) && !isToldAbove(one))) addCondition(report, condition, nowMs);
  const wrong = targets
    .filter((target) => !isInOrder(target) && !(heldDeletion && target.reason === "DELETION_HELD"))
    .sort(TARGETS.compare);
  for (const target of wrong.slice(0, MAX_TARGETS)) addTarget(report, target, target.bundle, nowMs);
  if (wrong.length > MAX_TARGETS) report.note(`… and ${plural(wrong.length - MAX_TARGETS, "more target")}`, "faint");
}

/** While Git was not read yet there are no clusters to tell of; why it was not, stands above. */
function ifNotReady(error: unknown): void {
  if (!(error instanceof CodedError) || error.code !== "API_NOT_READY") throw error;
}

/** As a problem of the slice, or with the YAML that approves it. */
function isToldAbove({ type }: Condition): boolean {
  return type === "SliceRefused" || type === "DeletionHeld";
}

function isClusterInOrder({ freshness, sync, health, conditions, targets }: Cluster): boolean {
  const isHealthy = targets.total === 0 || health === "Current";
  return freshness === Freshness.Live && sync === "Synced" && isHealthy && !conditions.some(isHolding);
}

/** Of a silent cluster nothing newer is known than its silence. */
function isTold({ freshness }: Cluster): boolean {
  return freshness === Freshness.Live;
}
