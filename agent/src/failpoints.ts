import type { Failpoint } from "@muster/shared/runtime";

/**
 * Every place at which the agent can be killed by name (`MUSTER_FAILPOINTS`), in the order of a revision's way through it. A
 * type checks that a call names one of them, a test that each is called, and `npm run chaos:agent` kills at each.
 */
export const AGENT_FAILPOINTS = [
  // kube: the token was read again.
  "agent.duringTokenReload",
  // This instance is the one that writes.
  "agent.afterLease",
  // The kept state was read; nothing was done with it.
  "agent.afterResume",
  // pull: a slice was verified, its manifest sets not fetched; then all of it is there, and nothing kept.
  "agent.afterSlice",
  "agent.beforeHighWater",
  // Every write of state: before; between the parts of a large one; when it counts, with the old parts still there; a removal.
  "agent.beforeStateWrite",
  "agent.afterShardWrite",
  "agent.afterStateWrite",
  "agent.beforeStateDrop",
  // What keeping a slice consists of.
  "agent.afterBlobsKept",
  "agent.afterLastGoodKept",
  "agent.afterSliceKept",
  "agent.afterHighWater",
  // The inventory, before creations and after deletions.
  "agent.beforeInventoryWrite",
  "agent.afterInventoryWrite",
  // apply
  "agent.beforeFirstApply",
  "agent.afterNamespace",
  // Fields were taken over from kubectl; an object was deleted to be made anew.
  "agent.afterTakeOver",
  "agent.afterRecreateDelete",
  "agent.afterApply",
  "agent.afterDefinitions",
  "agent.beforePrune",
  "agent.afterRecord",
  // prune: an approval was noted; a deletion; it was asked for, and maybe confirmed; before its entry goes.
  "agent.afterApproval",
  "agent.beforeDelete",
  "agent.afterDelete",
  "agent.beforeInventoryShrink",
  // observe, report: a list was answered, and not looked at; a message of a status that has several.
  "agent.duringRelist",
  "agent.duringStatus",
] as const;

/** The agent's own kind of {@link Failpoint}. */
export type AgentFailpoint = Failpoint<(typeof AGENT_FAILPOINTS)[number]>;
