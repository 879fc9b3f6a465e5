import { Freshness } from "@muster/shared/model";
import type { ApiClient } from "../api-client.ts";
import type { Bundle, Drift, FleetEvent } from "../api-views.ts";
import type { Cli } from "../cli.ts";
import { Report } from "../output/report.ts";
import { formatTable } from "../output/table.ts";
import { addCondition, addTarget, isInOrder } from "../problem-lines.ts";
import { bundlePlace } from "../resources/bundles.ts";
import { DRIFT } from "../resources/drift.ts";
import { TARGETS, type TargetRow } from "../resources/targets.ts";
import { bundleWord, isHolding, plural } from "../words.ts";
import { EVENTS_SHOWN } from "./describe-cluster.ts";
import { addEvents } from "./event-lines.ts";
import { ownershipFields } from "./ownership-fields.ts";

/** Targets that are told one by one; the table has all of them. */
const MAX_TOLD = 10;

/** All that is known of a bundle. */
export interface BundlePage {
  readonly bundle: Bundle;
  readonly targets: readonly TargetRow[];
  readonly drift: readonly Drift[];
  /** Newest first. */
  readonly events: readonly FleetEvent[];
}

/** Throws API_NOT_FOUND. */
export async function fetchBundle(api: ApiClient, name: string): Promise<BundlePage> {
  const query = { bundle: name };
  const [bundle, targets, drift, events] = await Promise.all([
    api.get<Bundle>(`/bundles/${encodeURIComponent(name)}`),
    TARGETS.fetch(api, query),
    api.list<Drift>("/drift", query),
    api.list<FleetEvent>("/events", query, EVENTS_SHOWN),
  ]);
  return { bundle, targets: targets.items, drift, events };
}

/** What is wrong first, then where the bundle runs. */
export function bundleLines(cli: Cli, { bundle, targets, drift, events }: BundlePage): readonly string[] {
  const nowMs = cli.now();
  const report = new Report(cli.paint, cli.width);
  report.headline("Bundle", bundle.name, bundleWord(bundle));
  // A bundle that is held everywhere for one reason is told once, by its condition.
  const saidOf = new Set(bundle.conditions.map(({ reason, message }) => `${reason}${message}`));
  const wrong = targets
    .filter(
      (target) =>
        !isInOrder(target) &&
        target.freshness === Freshness.Live &&
        !target.conditions.some((condition) => isHolding(condition) && saidOf.has(`${condition.reason}${condition.message}`)),
    )
    .sort(TARGETS.compare);
  if (bundle.conditions.length > 0 || wrong.length > 0)
    report.section(bundle.conditions.some(isHolding) || wrong.length > 0 ? "What is wrong" : "Remarks");
  for (const condition of [...bundle.conditions].sort((a, b) => Number(isHolding(b)) - Number(isHolding(a))))
    addCondition(report, condition, nowMs);
  for (const target of wrong.slice(0, MAX_TOLD)) addTarget(report, target, target.cluster, nowMs);
  if (wrong.length > MAX_TOLD) report.note(`… and ${plural(wrong.length - MAX_TOLD, "more target")}, below`, "faint");
  const style = { paint: cli.paint, width: cli.width, indent: 2 };
  if (drift.length > 0) {
    report.section("Drift");
    report.raw(
      formatTable(
        DRIFT.columns(nowMs).filter(({ title }) => title !== "BUNDLE"),
        [...drift].sort(DRIFT.compare),
        style,
      ),
    );
  }
  report.section("About");
  report.fields([
    ["In Git", bundlePlace(bundle)],
    ["Drift mode", bundle.driftMode],
    ...ownershipFields(bundle),
    ["Depends on", bundle.dependsOn.join(", ")],
    ["Blocked by", (bundle.blockedBy ?? []).join("; ")],
  ]);
  report.section(`Targets (${bundle.targets.synced}/${bundle.targets.total} synced)`);
  const columns = TARGETS.columns(nowMs).filter(({ title, wide }) => title !== "BUNDLE" && !wide);
  report.raw(formatTable(columns, [...targets].sort(TARGETS.compare), style));
  addEvents(report, cli, events, ["BUNDLE"]);
  return report.lines;
}
