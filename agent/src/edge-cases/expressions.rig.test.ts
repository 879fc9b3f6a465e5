import { type BundleOptions, Health, type JsonObject, type Manifest } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import { definition, type EdgeCluster, startEdgeCluster, synced } from "./testing/edge-cluster.ts";

/** Health and readiness by CEL, on an API server whose controllers are this test. */

let edge: EdgeCluster;
beforeAll(async () => {
  edge = await startEdgeCluster("cel");
});
afterEach(() => edge.endTest());
afterAll(() => edge?.stop());

const merge = (path: string, change: unknown) => edge.api.admin.request("PATCH", path, change, "application/merge-patch+json");
const widget = (group: string, namespace: string, name: string, spec: JsonObject = {}): Manifest => ({
  apiVersion: `${group}/v1`,
  kind: "Widget",
  metadata: { name, namespace },
  spec,
});

describe("what an expression says of live objects", () => {
  it("E135: makes objects of a custom kind healthy or not, at every change of their status and of the rule, without a write", async () => {
    const { start, namespace, writes } = await edge.newTenant();
    const agent = start();
    const group = "e135.example.com";
    const path = `/apis/${group}/v1/namespaces/${namespace}/widgets/x/status`;
    const objects = [definition(group, "widgets"), widget(group, namespace, "x")];
    const rule = (current: string): Partial<BundleOptions> => ({
      health: [
        { group, kind: "Widget", current, failed: "object.status.?error.orValue('') != ''", message: "'phase ' + object.status.phase" },
      ],
    });
    const options = rule("object.status.phase == 'Ready' && object.status.parts.all(p, p.done)");
    await agent.take([{ name: "a", objects, options }]);
    await synced(agent, "a");
    const healthIs = (health: Health, message = "") =>
      eventually(() => {
        expect(agent.bundle("a")).toMatchObject({ state: "Synced", health });
        expect(JSON.stringify(agent.reconciler.inspect({ bundle: "a" }))).toContain(message);
      });
    await healthIs(Health.InProgress, "Waits for its controller");
    await merge(path, { status: { phase: "Building", parts: [{ done: true }, { done: false }] } });
    await healthIs(Health.InProgress, "phase Building");
    await merge(path, { status: { phase: "Ready", parts: [{ done: true }, { done: true }] } });
    await healthIs(Health.Current);
    await merge(path, { status: { error: "no disk" } });
    await healthIs(Health.Failed, "phase Ready");
    await merge(path, { status: { error: null, parts: "none" } });
    await healthIs(Health.Unknown, "EXPRESSION_FAILED");
    const before = writes().length;
    await agent.take([{ name: "a", objects, options: rule("object.status.phase == 'Ready'") }]);
    await healthIs(Health.Current);
    expect(writes()).toHaveLength(before);
  });

  it("E009, E011: holds back a bundle, by name, until the objects of another one are as it needs them", async () => {
    const { start, map, live, namespace } = await edge.newTenant();
    const agent = start();
    const group = "e011.example.com";
    const path = (name: string) => `/apis/${group}/v1/namespaces/${namespace}/widgets/${name}/status`;
    const expression = "object.status.ready >= object.spec.wanted";
    await agent.take([
      {
        name: "db",
        objects: [definition(group, "widgets"), widget(group, namespace, "x", { wanted: 2 }), widget(group, namespace, "y", { wanted: 1 })],
      },
      { name: "top", objects: [map("top")], options: { dependsOn: ["db"], ready: [{ bundle: "db", group, kind: "Widget", expression }] } },
    ]);
    await synced(agent, "db");
    await merge(path("y"), { status: { ready: 1 } });
    await merge(path("x"), { status: { ready: 1 } });
    await eventually(() =>
      expect(agent.bundle("top")).toMatchObject({
        state: "Pending",
        reason: "DEPENDENCY_NOT_READY",
        message: expect.stringContaining(`${expression} is false`),
        blockedBy: [expect.stringMatching(/^db: Widget\S* .*x: object\.status\.ready >= object\.spec\.wanted$/)],
      }),
    );
    expect(await live()).toEqual({});
    await merge(path("x"), { status: { ready: 2 } });
    await synced(agent, "top");
    expect(agent.bundle("top")).not.toHaveProperty("blockedBy");
    expect(await live()).toEqual({ top: "1" });
  });
});
