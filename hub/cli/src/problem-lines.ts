import { type DriftDetail, describeObjectRef, type HeldDeletion, type ObjectException, SyncState } from "@muster/shared/model";
import type { Cluster, Condition, Target } from "./api-views.ts";
import { formatAge } from "./output/age.ts";
import type { Report } from "./output/report.ts";
import { valueText } from "./resources/drift.ts";
import { targetReason } from "./resources/targets.ts";
import { healthWord, isHolding, plural, targetWord } from "./words.ts";

/** Objects of a held deletion that are named. */
const MAX_SAMPLE = 8;

/** A condition, with its place in Git. */
export function addCondition(report: Report, condition: Condition, nowMs: number): void {
  const tone = isHolding(condition) ? "bad" : "faint";
  const code = condition.reason === condition.type ? undefined : condition.reason;
  report.item(tone, condition.type, condition.message, { code, age: formatAge(condition.since, nowMs) });
  if (condition.at) report.note(`in Git at ${condition.at}`, "faint");
  report.hint(code);
}

/** A held deletion: what would go, and the exact YAML that lets it. */
export function addHeldDeletion(report: Report, held: HeldDeletion): void {
  report.item("bad", "Deletion held", held.message, { code: "DELETION_HELD" });
  for (const ref of held.sample.slice(0, MAX_SAMPLE)) report.note(`- ${describeObjectRef(ref)}`);
  const more = held.objects - Math.min(held.sample.length, MAX_SAMPLE);
  if (more > 0) report.note(`… and ${plural(more, "more object")}`, "faint");
  report.note("If they are meant to go, say so in muster.yaml in Git; if not, put them back:");
  report.code(["spec:", "  deletion:", `    approvals: [${held.id}]`]);
}

/** An agent that takes no slice. */
export function addSliceProblem(report: Report, cluster: Cluster): void {
  if (!cluster.sliceProblem) return;
  report.item("bad", "Slice refused", `${cluster.sliceProblem.message}; the cluster stays as it is`, { code: cluster.sliceProblem.code });
  report.hint(cluster.sliceProblem.code);
}

/** One object that is not in order: who changed what and when, or why it could not be applied. */
export function addException(report: Report, exception: ObjectException, since: string | undefined, nowMs: number): void {
  const { drift, code, message, health } = exception;
  const ref = describeObjectRef(exception.ref);
  if (drift) {
    const age = formatAge(drift.at ?? since, nowMs);
    const who = drift.manager ? ` by ${drift.manager}` : "";
    report.item("warn", ref, `${drift.kind}${who}`, { age, code });
    addChanges(report, drift, nowMs);
    report.note(message ?? "");
    return;
  }
  const word = healthWord(health);
  report.item(code ? "bad" : word.tone, ref, message ?? word.text, { code });
  report.hint(code);
}

/** What of the fields is known: `.spec.replicas: 5, wanted 2`. Who did it stands above, where it was one. */
function addChanges(report: Report, drift: DriftDetail, nowMs: number): void {
  const told = new Set(drift.fields?.map(({ path }) => path));
  for (const field of drift.fields ?? []) {
    const { path, manager, at } = field;
    const who = manager ? ` (${manager}${at ? `, ${formatAge(at, nowMs)} ago` : ""})` : "";
    report.note(`${path}: ${valueText(field, "got")}, wanted ${valueText(field, "wanted")}${who}`);
  }
  report.note(drift.paths.filter((path) => !told.has(path)).join(", "));
}

/** A target that is not in order, in one item. */
export function addTarget(report: Report, target: Target & { readonly lastHeard?: string }, title: string, nowMs: number): void {
  const word = targetWord(target, target.lastHeard, nowMs);
  const holding = target.conditions.find(isHolding);
  const health = word.text === SyncState.Synced ? healthWord(target.health).text : word.text;
  const message = holding?.message ?? target.message ?? (target.reason ? "" : targetReason(target));
  const tone = word.tone === "good" ? "warn" : word.tone;
  report.item(tone, `${title}: ${health}`, message, { code: holding?.reason ?? target.reason });
  if (holding?.at) report.note(`in Git at ${holding.at}`, "faint");
  report.hint(holding?.reason ?? target.reason);
}

/** true if nobody has to look at the target. */
export function isInOrder(target: Target): boolean {
  return target.sync === SyncState.Synced && target.health === "Current" && !target.conditions.some(isHolding);
}
