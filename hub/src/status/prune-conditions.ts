import { describeObjectRef, formatObjectRef, Health, type ObjectException, SyncState } from "@muster/shared/model";
import type { ClusterRecord } from "./cluster-record.ts";
import type { DesiredState } from "./desired-state.ts";
import type { DatedException } from "./exception-store.ts";
import type { ConditionView } from "./views.ts";

/** What an agent tells of objects whose bundle has left the cluster: no target shows them. */
export interface PruneState {
  readonly conditions: readonly ConditionView[];
  /** The best that the cluster can be with them. */
  readonly sync: SyncState;
}

/** What can be the matter with the deletion of an object that left Git. */
interface Matter {
  readonly type: "PruneFailed" | "Pruning" | "PruneProtected";
  /** After the number of objects. */
  readonly what: string;
  readonly sync: SyncState;
}

/** Worst first. */
const MATTERS: readonly Matter[] = [
  { type: "PruneFailed", what: "could not be deleted", sync: SyncState.Failed },
  // It ends by itself, or somebody has to look at a finalizer; until then the cluster is not as Git says.
  { type: "Pruning", what: "will be gone once the finalizers are done", sync: SyncState.Progressing },
  // The agent never deletes these by itself, so nothing is under way, and to leave them where they are is as good an answer as to
  // delete or approve them. A fleet that can only become healthy by deleting a namespace would teach people to do that, or to
  // look away; so it is told for as long as it holds, and holds nothing up.
  { type: "PruneProtected", what: "will stay, being of a protected kind or in a protected namespace", sync: SyncState.Synced },
];

/** Objects that a condition names. */
const MAX_NAMED = 5;

/**
 * One condition for each matter. An exception is about a deletion if the slice in force does not want the object; one that an agent
 * still tells of a bundle that left Git a moment ago is about its apply, and so the agent's own slice must not have the bundle either,
 * unless the slice in force has it too, without the object.
 */
export function pruneState(record: ClusterRecord, desired: DesiredState): PruneState {
  const matters = new Map<Matter["type"], DatedException[]>();
  for (const dated of record.exceptions.values()) {
    const type = matterOf(dated.exception);
    if (!type || isAboutApply(dated.exception, record, desired)) continue;
    const same = matters.get(type);
    if (same) same.push(dated);
    else matters.set(type, [dated]);
  }
  const found = MATTERS.filter(({ type }) => matters.has(type));
  return {
    conditions: found.map((matter) => toCondition(matter, matters.get(matter.type) ?? [])),
    sync: found[0]?.sync ?? SyncState.Synced,
  };
}

function isAboutApply({ ref, bundle }: ObjectException, record: ClusterRecord, desired: DesiredState): boolean {
  const entry = desired.bundleIn(record.name, bundle);
  if (!entry) return record.bundles.has(bundle);
  // What a kept bundle has is not known here.
  return entry.state === "keep" || entry.objects.includes(formatObjectRef(ref));
}

function matterOf({ code, health }: ObjectException): Matter["type"] | undefined {
  if (code === "PRUNE_PROTECTED") return "PruneProtected";
  if (code !== undefined && code !== "PRUNE_WAITING") return "PruneFailed";
  return code === "PRUNE_WAITING" || health === Health.Terminating ? "Pruning" : undefined;
}

function toCondition({ type, what }: Matter, objects: readonly DatedException[]): ConditionView {
  const named = objects.map(({ exception }) => ({ exception, name: describeObjectRef(exception.ref) })).sort(byName);
  const first = named[0]?.exception;
  const names = named.slice(0, MAX_NAMED).map(({ name }) => name);
  const more = named.length > names.length ? ` and ${named.length - names.length} more` : "";
  const why = first?.message ? `; ${first.message}` : "";
  return {
    type,
    status: "True",
    reason: first?.code ?? Health.Terminating,
    message: `${named.length === 1 ? "1 object" : `${named.length} objects`} that left Git ${what}: ${names.join(", ")}${more}${why}`,
    since: new Date(Math.min(...objects.map(({ sinceMs }) => sinceMs))).toISOString(),
  };
}

function byName({ name: a }: { readonly name: string }, { name: b }: { readonly name: string }): number {
  return a < b ? -1 : Number(a > b);
}
