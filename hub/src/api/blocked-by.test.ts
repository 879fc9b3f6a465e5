import { SyncState } from "@muster/shared/model";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ManualClock } from "../../../test/rig/manual-clock.ts";
import type { FleetStatus } from "../status/fleet-status.ts";
import { connect, createSampleStatus, LEASE_MS, report, result, update } from "../status/testing/sample-status.ts";
import { createSampleApi, type SampleApi } from "./testing/sample-api.ts";

let status: FleetStatus;
let clock: ManualClock;
let api: SampleApi;
beforeEach(async () => {
  ({ status, clock } = createSampleStatus());
  api = await createSampleApi({ queries: status });
});
afterEach(() => api.app.close());

const waiting = (...blockedBy: readonly string[]) =>
  update({ restart: true, report: report({ state: SyncState.Pending, reason: "DEPENDENCY_NOT_READY", blockedBy }) });
const answer = async (path: string) => (await api.get(`/api/v1/${path}`)).body;

describe("what a bundle waits for", () => {
  it("is answered for its target, alone and in the list, as its agent tells it", async () => {
    status.record(result(["one", "two"]));
    connect(status, "one", waiting("db: Widget lab/x: object.status.ready", "baseline"));
    connect(status, "two");
    const blockedBy = ["db: Widget lab/x: object.status.ready", "baseline"];
    expect(await answer("targets/web/one")).toMatchObject({ cluster: "one", sync: "Pending", blockedBy });
    expect((await answer("targets?bundle=web"))["items"]).toMatchObject([{ cluster: "one", blockedBy }, { cluster: "two" }]);
    expect(await answer("targets/web/two")).not.toHaveProperty("blockedBy");
  });

  it("is answered for the bundle over all of its clusters, each thing once, and at most 20", async () => {
    status.record(result(["one", "two", "three"]));
    connect(status, "one", waiting("db", "baseline"));
    connect(status, "two", waiting("db", "mesh"));
    connect(status, "three");
    expect(await answer("bundles/web")).toMatchObject({ name: "web", blockedBy: ["baseline", "db", "mesh"] });
    expect((await answer("bundles"))["items"]).toMatchObject([{ blockedBy: ["baseline", "db", "mesh"] }]);
    const many = (first: number) => Array.from({ length: 15 }, (_, index) => `b${String(first + index).padStart(2, "0")}`);
    connect(status, "one", waiting(...many(0)));
    connect(status, "two", waiting(...many(10)));
    expect((await answer("bundles/web"))["blockedBy"]).toEqual([...many(0), ...many(10).slice(5, 10)]);
  });

  it("is not told any more of a bundle that waits for nothing, nor of a cluster that is silent", async () => {
    status.record(result(["one", "two"]));
    for (const name of ["one", "two"]) connect(status, name, waiting("db"));
    status.status("one", update({ report: report() }));
    expect(await answer("targets/web/one")).not.toHaveProperty("blockedBy");
    expect(await answer("bundles/web")).toMatchObject({ blockedBy: ["db"] });
    await clock.advance(LEASE_MS + 1);
    for (const path of ["targets/web/two", "bundles/web"]) expect(await answer(path)).not.toHaveProperty("blockedBy");
  });
});
