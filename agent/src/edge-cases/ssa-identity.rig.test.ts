import { FIELD_MANAGER, type JsonObject, type Manifest } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import { custom, customResource, managersOf, type SsaRig, site, startSsaRig, version } from "./testing/ssa-rig.ts";

let rig: SsaRig;
beforeAll(async () => {
  rig = await startSsaRig("identity");
});
afterEach(() => rig?.stopAgents());
afterAll(() => rig?.stop());

const text = { type: "string" };

describe("one object under several names", () => {
  it("E030: an apiVersion that changes in Git changes no object, and what leaves Git with it is removed", async () => {
    const { namespace, sync, live, drift, seen, entries, edit } = await rig.setUp();
    const name = `multi${namespace.replaceAll("-", "")}`;
    const spec = { a: text, b: text };
    const definition = customResource(name, [version("v1", spec), version("v2", spec, false)]);
    await sync([definition, custom(name, namespace, { a: "1", b: "1" })]);
    const { uid } = (await live(custom(name, namespace, {}))).metadata;
    await sync([definition, custom(name, namespace, { a: "2" }, "v2")]);
    const now = await live(custom(name, namespace, {}, "v2"));
    expect([now.metadata["uid"], now["spec"]]).toEqual([uid, { a: "2" }]);
    await seen(now);
    expect(drift(now)).toBeUndefined();
    await edit(now, "somebody", { spec: { a: "3" } });
    await eventually(async () => expect((await live(now))["spec"]).toEqual({ a: "2" }));
    expect(entries().filter((entry) => entry.verb.startsWith("delete"))).toEqual([]);
  });

  it("E031: an object that is known by two versions or two API groups is one object, and is never deleted by its old name", async () => {
    const { namespace, sync, take, live, failure, entries, agent } = await rig.setUp();
    const scaler = (apiVersion: string): Manifest => ({
      apiVersion,
      kind: "HorizontalPodAutoscaler",
      metadata: { name: "web", namespace },
      spec: { minReplicas: 2, maxReplicas: 5, scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" } },
    });
    const about = { kind: "Namespace", name: namespace, apiVersion: "v1", namespace };
    const common = { reason: "Test", action: "Testing", type: "Normal", eventTime: "2026-01-01T00:00:00.000000Z" };
    const old: Manifest = {
      apiVersion: "v1",
      kind: "Event",
      metadata: { name: "note", namespace },
      ...common,
      involvedObject: about,
      reportingComponent: "example.com/test",
      reportingInstance: "test-1",
      message: "hello",
    };
    const renamed = (more: JsonObject = {}): Manifest => ({
      apiVersion: "events.k8s.io/v1",
      kind: "Event",
      metadata: { name: "note", namespace },
      ...common,
      regarding: about,
      reportingController: "example.com/test",
      reportingInstance: "test-1",
      note: "hello",
      ...more,
    });
    await sync([scaler("autoscaling/v1"), old, site(namespace, { a: "1" })]);
    const uids = async () => [(await live(scaler("autoscaling/v2"))).metadata["uid"], (await live(old)).metadata["uid"]];
    const before = await uids();
    // The new name cannot be applied yet: who the object is is not known, and it must not go.
    await take([scaler("autoscaling/v2"), renamed({ type: "Nonsense" }), site(namespace, { a: "2" })]);
    await eventually(async () => {
      expect(failure(renamed())?.code).toMatch(/^KUBE_/);
      expect((await live(site(namespace, {})))["data"]).toEqual({ a: "2" });
    });
    agent.reconciler.trigger();
    await sync([scaler("autoscaling/v2"), renamed(), site(namespace, { a: "3" })]);
    expect(await uids()).toEqual(before);
    await eventually(async () =>
      expect([...(await agent.inventory()).entries.keys()].filter((ref) => ref.includes("note"))).toEqual([
        `${namespace}_note_events.k8s.io_Event`,
      ]),
    );
    expect(entries().filter((entry) => entry.verb.startsWith("delete"))).toEqual([]);
    await sync([scaler("autoscaling/v2"), site(namespace, { a: "3" })]);
    await eventually(() => expect(live(old)).rejects.toThrow("404"));
  });

  it("E056: all bundles apply as one manager, whose name is far from the limit; who applied what stands in a label", async () => {
    const { namespace, agent, live } = await rig.setUp();
    const other = { ...site(namespace, {}), metadata: { name: "other", namespace } };
    await agent.take([
      { name: "a", objects: [site(namespace, {})] },
      { name: "b".repeat(60), objects: [other] },
    ]);
    await eventually(async () => {
      for (const [object, bundle] of [
        [site(namespace, {}), "a"],
        [other, "b".repeat(60)],
      ] as const) {
        const { metadata } = await live(object);
        expect([managersOf({ ...object, metadata }), metadata["labels"]]).toEqual([
          [`${FIELD_MANAGER}/Apply`],
          { "muster.dev/bundle": bundle },
        ]);
      }
    });
    expect(FIELD_MANAGER.length).toBeLessThan(128);
  });
});

describe("E039: a fight with another controller", () => {
  it("is told with the other one's name and fields, takes few writes, and holds up nothing else", async () => {
    const { namespace, sync, edit, live, agent, failure, entries, mark } = await rig.setUp();
    const other = { ...site(namespace, { a: "1" }), metadata: { name: "other", namespace } };
    await sync([site(namespace, { a: "1" }), other]);
    mark();
    const began = performance.now();
    const stop = new AbortController();
    const fighting = (async () => {
      const type = (await rig.cluster.discover()).find("", "ConfigMap");
      const { resourceVersion } = await rig.cluster.list(type!, { namespace });
      await edit(site(namespace, {}), "their-operator", { data: { a: "theirs" } });
      for await (const event of rig.cluster.watch(type!, { namespace, resourceVersion }, stop.signal)) {
        if (event.type !== "modified" || event.object.metadata.name !== "site") continue;
        if ((event.object["data"] as JsonObject)["a"] === "1") await edit(site(namespace, {}), "their-operator", { data: { a: "theirs" } });
      }
    })();
    await eventually(() =>
      expect(failure(site(namespace, {}))).toMatchObject({
        code: "DRIFT_FIGHT",
        message: expect.stringMatching(/fighting with manager their-operator over \.data\.a$/),
      }),
    );
    expect(agent.bundle("a")).toMatchObject({ state: "OutOfSync", reason: "DRIFT_FIGHT" });
    await edit(other, "somebody", { data: { a: "2" } });
    await eventually(async () => expect((await live(other))["data"]).toEqual({ a: "1" }), { timeoutMs: 1_000 });
    await eventually(() => expect(performance.now() - began).toBeGreaterThan(5_000));
    stop.abort();
    await fighting.catch(() => {});
    // Five at once, then after 2 s and 4 s more; the next would be after 8 s more.
    expect(entries().filter((entry) => entry.name === "site").length).toBeLessThanOrEqual(7);
    expect(agent.told.filter((event) => event.type === "DriftFight")).toHaveLength(1);
  });
});
