import { Health, type ObjectException } from "@muster/shared/model";
import { beforeEach, describe, expect, it } from "vitest";
import type { ManualClock } from "../../../test/rig/manual-clock.ts";
import type { FleetStatus } from "./fleet-status.ts";
import { connect, createSampleStatus, FACTS, report, result, slice, update } from "./testing/sample-status.ts";

/** Of a bundle that is in no slice any more. */
const left = (name: string, more: Partial<ObjectException> = {}): ObjectException => ({
  ref: { group: "", kind: "ConfigMap", namespace: "a", name },
  bundle: "gone",
  health: Health.Unknown,
  ...more,
});
const forbidden = (name: string) => left(name, { code: "KUBE_FORBIDDEN", message: "configmaps is forbidden" });

let clock: ManualClock;
let status: FleetStatus;
beforeEach(() => {
  ({ status, clock } = createSampleStatus());
  status.record(result(["one"]));
});
const tell = (...exceptions: ObjectException[]) => connect(status, "one", update({ restart: true, report: report(), exceptions }));

describe("I10: objects that left Git and cannot be deleted", () => {
  it.each(["KUBE_FORBIDDEN", "PRUNE_BLOCKED", "KUBE_UNREACHABLE"])(
    "with %s make their cluster fail, until they are gone or back",
    async (code) => {
      tell();
      expect(status.fleet().healthy).toBe(true);
      status.status("one", update({ exceptions: [left("x", { code, message: "no" })] }));
      const since = new Date(clock.wallMs()).toISOString();
      await clock.advance(1_000);
      expect(status.cluster("one")).toMatchObject({
        sync: "Failed",
        conditions: [
          {
            type: "PruneFailed",
            status: "True",
            reason: code,
            message: "1 object that left Git could not be deleted: ConfigMap a/x; no",
            since,
          },
        ],
      });
      expect(status.fleet()).toMatchObject({ healthy: false, clusters: { synced: 0, healthy: 0 } });
      // Its target is as it shall be.
      expect(status.target("web", "one")?.sync).toBe("Synced");
      status.status("one", update({ cleared: [left("x").ref] }));
      expect(status.cluster("one")).toMatchObject({ sync: "Synced", conditions: [] });
      expect(status.fleet().healthy).toBe(true);
    },
  );

  it("are one condition with their number and a few names, and the first one's reason", () => {
    tell(...Array.from({ length: 12 }, (_, index) => forbidden(`m${String(11 - index).padStart(2, "0")}`)));
    const conditions = status.cluster("one")?.conditions ?? [];
    expect(conditions.map(({ type, reason, message }) => [type, reason, message])).toEqual([
      [
        "PruneFailed",
        "KUBE_FORBIDDEN",
        "12 objects that left Git could not be deleted: ConfigMap a/m00, ConfigMap a/m01, ConfigMap a/m02, ConfigMap a/m03, ConfigMap a/m04 and 7 more; configmaps is forbidden",
      ],
    ]);
  });

  it("because they are protected are a remark: the fleet is healthy with it", () => {
    // Without an entry in the inventory the agent cannot say of which bundle it was.
    tell(left("x", { code: "PRUNE_PROTECTED", bundle: "", message: "never deleted where it stands" }));
    expect(status.cluster("one")).toMatchObject({
      sync: "Synced",
      health: "Current",
      conditions: [{ type: "PruneProtected", reason: "PRUNE_PROTECTED" }],
    });
    expect(status.fleet()).toMatchObject({ healthy: true, clusters: { synced: 1, healthy: 1 } });
  });

  it("because finalizers are outstanding keep their cluster from being Synced, and are named", () => {
    tell(left("x", { health: Health.Terminating, message: "Deleted from Git; its finalizers are outstanding" }));
    expect(status.cluster("one")).toMatchObject({ sync: "Progressing", conditions: [{ type: "Pruning", reason: "Terminating" }] });
    expect(status.fleet()).toMatchObject({ healthy: false, clusters: { synced: 0, healthy: 1 } });
  });

  it("and those that wait or are protected besides are told apart", () => {
    tell(
      left("p", { code: "PRUNE_PROTECTED" }),
      left("t", { health: Health.Terminating }),
      forbidden("f"),
      left("h", { health: Health.InProgress }),
    );
    expect(status.cluster("one")?.conditions.map(({ type }) => type)).toEqual(["PruneFailed", "Pruning", "PruneProtected"]);
  });

  it("are told of a bundle that stays, too, and what is wrong with an object that Git wants is told with its target only", () => {
    tell({ ...forbidden("x"), bundle: "web" });
    expect(status.cluster("one")?.conditions).toMatchObject([{ type: "PruneFailed" }]);
    tell({ ...forbidden("web"), bundle: "web" });
    expect(status.cluster("one")?.conditions).toEqual([]);
    expect(status.target("web", "one")?.exceptions).toHaveLength(1);
    // Removed from Git a moment ago: what its agent tells of it is not yet about a deletion.
    status.record(result(["one"], { slices: new Map([["one", slice("one", "a", 2, { bundles: [] })]]), model: { targets: [] } }));
    expect(status.cluster("one")).toMatchObject({ sync: "Progressing", conditions: [] });
  });

  it("are shown of a silent cluster too, whose state is unknown then", async () => {
    tell(forbidden("x"));
    await clock.advance(3_600_000);
    expect(status.cluster("one")).toMatchObject({ sync: "Unknown", conditions: [{ type: "PruneFailed" }] });
    status.connected("one", "another", FACTS, { epoch: 1, generation: 1 });
    expect(status.cluster("one")).toMatchObject({ sync: "Unknown", conditions: [{ type: "PruneFailed" }] });
  });
});

describe("I10: what is not as Git says although every bundle is", () => {
  it("a held deletion keeps its cluster from being synced", () => {
    const heldDeletion = { id: "del-0123456789abcdef", objects: 31, sample: [], message: "31 of 62 objects left Git" };
    connect(status, "one", update({ restart: true, report: { ...report(), heldDeletion } }));
    expect(status.cluster("one")).toMatchObject({ sync: "Pending", conditions: [{ type: "DeletionHeld" }] });
  });

  it("what a held bundle keeps from being deleted is told, and is no trouble of its own", () => {
    status.record(result(["one"], { slices: new Map([["one", slice("one", "a", 1, { retained: ["a_x__ConfigMap"] })]]) }));
    tell();
    expect(status.cluster("one")).toMatchObject({ sync: "Synced", conditions: [{ type: "Retained" }] });
    expect(status.fleet().healthy).toBe(true);
  });

  it("a cluster that waits for Git to be readable says so", () => {
    status.record(result(["one"], { waiting: ["one"] }));
    expect(status.cluster("one")?.conditions).toMatchObject([{ type: "Held", message: expect.stringContaining("cannot be read") }]);
  });
});
