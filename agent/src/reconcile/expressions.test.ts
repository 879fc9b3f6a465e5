import type { BundleOptions, HealthRule, Manifest } from "@muster/shared/model";
import { afterEach, describe, expect, it, vi } from "vitest";
import { configMap } from "../pull/testing/slice-maker.ts";
import { settle, startAgent, stopAgents, values, writes } from "./testing/fake-agent.ts";

afterEach(stopAgents);

type Agent = ReturnType<typeof startAgent>;

const rule = (more: Partial<HealthRule>): HealthRule => ({
  group: "",
  kind: "ConfigMap",
  current: "object.status.phase == 'Ready'",
  ...more,
});
const health = (...rules: HealthRule[]): Partial<BundleOptions> => ({ health: rules });

function live({ cluster }: Agent, name: string): Manifest {
  const found = [...cluster.objects.values()].find((one) => one.kind === "ConfigMap" && one.metadata.name === name);
  if (!found) throw new Error(`there is no ${name}`);
  return found;
}

/** What a controller writes. */
function setStatus(agent: Agent, name: string, status: unknown): void {
  agent.cluster.put({ ...live(agent, name), status } as Manifest);
}

const seen = ({ reconciler }: Agent, bundle: string) =>
  reconciler.inspect({ bundle }).map(({ health, message }) => [health, message ?? ""]);

describe("E135: a rule of health in CEL", () => {
  it("stands in place of what is built in for the kind, and is asked again at each change", async () => {
    const agent = startAgent();
    const options = health(rule({ failed: "has(object.status.error)", message: "'phase ' + string(object.status.phase)" }));
    await agent.take([{ name: "a", objects: [configMap("x")], options }]);
    await agent.synced("a");
    expect(seen(agent, "a")).toEqual([["InProgress", "Waits for its controller"]]);
    setStatus(agent, "x", { phase: "Starting" });
    await vi.waitFor(() => expect(seen(agent, "a")).toEqual([["InProgress", "phase Starting"]]));
    setStatus(agent, "x", { phase: "Broken", error: "no disk" });
    await vi.waitFor(() => expect(agent.bundle("a")).toMatchObject({ health: "Failed" }));
    setStatus(agent, "x", { phase: "Ready" });
    await vi.waitFor(() => expect(agent.bundle("a")).toMatchObject({ state: "Synced", health: "Current" }));
  });

  it("leaves deletion and the generation that a controller has seen to be told as ever", async () => {
    const agent = startAgent();
    await agent.take([{ name: "a", objects: [configMap("x")], options: health(rule({ current: "true" })) }]);
    await agent.synced("a");
    expect(agent.bundle("a")).toMatchObject({ health: "Current" });
    const known = live(agent, "x");
    agent.cluster.put({ ...known, metadata: { ...known.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } });
    await vi.waitFor(() => expect(agent.bundle("a")).toMatchObject({ health: "Terminating" }));
  });

  it("that comes to no answer is Unknown with its reason, never Current, and hurts no other bundle", async () => {
    const agent = startAgent();
    await agent.take([
      { name: "a", objects: [configMap("x")], options: health(rule({ current: "object.status.phaze == 'Ready'" })) },
      { name: "b", objects: [configMap("y")] },
    ]);
    await agent.synced("a");
    setStatus(agent, "x", { phase: "Ready" });
    await vi.waitFor(() =>
      expect(seen(agent, "a")).toEqual([["Unknown", "object.status.phaze == 'Ready': no such key: phaze [EXPRESSION_FAILED]"]]),
    );
    expect(agent.bundle("b")).toMatchObject({ state: "Synced", health: "Current" });
  });

  it("that is meant to hang the agent ends by its cost", async () => {
    const agent = startAgent();
    const current = "object.list.all(a, object.list.all(b, object.list.all(c, a + b + c >= 0)))";
    const large = { ...configMap("x"), list: Array.from({ length: 10_000 }, (_, index) => index) } as Manifest;
    await agent.take([{ name: "a", objects: [large], options: health(rule({ current })) }]);
    await agent.synced("a");
    expect(seen(agent, "a")).toEqual([["Unknown", expect.stringContaining("EXPRESSION_COST")]]);
  });

  it("that cannot be read fails its bundle for good, and only it: objects are applied, their health is Unknown", async () => {
    const agent = startAgent();
    await agent.take([
      { name: "a", objects: [configMap("x")], options: health(rule({ current: "object.unheardOf()" })) },
      { name: "b", objects: [configMap("y")], options: { dependsOn: ["a"] } },
      { name: "c", objects: [configMap("z")] },
    ]);
    await agent.synced("c");
    await vi.waitFor(() => expect(values(agent.cluster)).toEqual({ x: "1", z: "1" }));
    expect(agent.bundle("a")).toMatchObject({ state: "Failed", reason: "EXPRESSION_INVALID", health: "Unknown", failed: 0 });
    expect(agent.bundle("b")).toMatchObject({ state: "Pending", blockedBy: ["a"] });
    await agent.take([{ name: "a", objects: [configMap("x")], options: health(rule({ current: "true" })) }]);
    await agent.synced("a");
  });

  it("that changes alone changes the health of what is there, and nothing is applied", async () => {
    const agent = startAgent();
    const objects = [configMap("x"), configMap("y")];
    await agent.take([{ name: "a", objects }]);
    await agent.synced("a");
    expect(agent.bundle("a")).toMatchObject({ health: "Current" });
    writes(agent.cluster);
    await agent.take([{ name: "a", objects, options: health(rule({ current: "object.metadata.name == 'x'" })) }]);
    await vi.waitFor(() => expect(seen(agent, "a").map(([is]) => is)).toEqual(["Current", "InProgress"]));
    await agent.take([{ name: "a", objects }]);
    await vi.waitFor(() => expect(agent.bundle("a")).toMatchObject({ health: "Current" }));
    expect(writes(agent.cluster).filter((call) => call.startsWith("apply"))).toEqual([]);
  });
});

describe("E009, E011: a dependency with conditions of its own", () => {
  const expression = "object.status.phase == 'Ready'";
  const ready = (more = {}) => ({ dependsOn: ["db"], ready: [{ bundle: "db", group: "", kind: "ConfigMap", expression, ...more }] });

  it("is waited for, and what is waited for is named, until every object that is meant fulfils it", async () => {
    const agent = startAgent();
    await agent.take([
      { name: "db", objects: [configMap("one"), configMap("two")] },
      { name: "top", objects: [configMap("top")], options: ready() },
    ]);
    await agent.synced("db");
    await vi.waitFor(() => expect(agent.bundle("top")?.blockedBy).toHaveLength(2));
    setStatus(agent, "one", { phase: "Ready" });
    setStatus(agent, "two", { phase: "Starting" });
    await vi.waitFor(() =>
      expect(agent.bundle("top")).toMatchObject({
        state: "Pending",
        reason: "DEPENDENCY_NOT_READY",
        message: expect.stringMatching(
          /^It depends on the bundle db, of which ConfigMap .*two is not ready: object\.status\.phase == 'Ready' is false$/,
        ),
        blockedBy: [expect.stringMatching(/^db: ConfigMap .*two: object\.status\.phase == 'Ready'$/)],
      }),
    );
    expect(values(agent.cluster)).not.toHaveProperty("top");
    setStatus(agent, "two", { phase: "Ready" });
    await agent.synced("top");
    expect(agent.bundle("top")).not.toHaveProperty("blockedBy");
  });

  it("is not ready while it has no object that is meant, nor while the bundle itself is not", async () => {
    const agent = startAgent();
    const options = { ...ready({ name: "three" }), dependsOn: ["db", "absent"] };
    await agent.take([
      { name: "db", objects: [configMap("one")] },
      { name: "top", objects: [configMap("top")], options },
    ]);
    await agent.synced("db");
    await vi.waitFor(() => expect(agent.bundle("top")).toMatchObject({ blockedBy: ["absent"] }));
    await agent.take([
      { name: "db", objects: [configMap("one")] },
      { name: "top", objects: [configMap("top")], options: ready({ name: "three" }) },
    ]);
    await vi.waitFor(() => expect(agent.bundle("top")).toMatchObject({ blockedBy: ["db: ConfigMap three"] }));
  });

  it("is read when it changes and while somebody waits, and never else", async () => {
    const agent = startAgent();
    await agent.take([
      { name: "db", objects: [configMap("one")] },
      { name: "top", objects: [configMap("top")], options: ready() },
    ]);
    await vi.waitFor(() => expect(agent.bundle("top")?.blockedBy).toHaveLength(1));
    await settle(agent.cluster);
    const reads = () => agent.cluster.calls.splice(0).filter((call) => call.verb === "get" && call.ref.includes("one")).length;
    reads();
    agent.reconciler.trigger();
    agent.cluster.put(configMap("foreign"));
    await settle(agent.cluster);
    expect(reads()).toBe(0);
    setStatus(agent, "one", { phase: "Starting" });
    await settle(agent.cluster);
    expect(reads()).toBe(1);
    setStatus(agent, "one", { phase: "Ready" });
    await agent.synced("top");
    await settle(agent.cluster);
    reads();
    setStatus(agent, "one", { phase: "Stopping" });
    await settle(agent.cluster);
    expect(reads()).toBe(0);
    expect(agent.bundle("top")).toMatchObject({ state: "Synced" });
  });
});
