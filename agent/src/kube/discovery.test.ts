import { describe, expect, it } from "vitest";
import { ManualClock } from "../../../test/rig/manual-clock.ts";
import { createFakeCluster, FAKE_TYPES } from "../apply/testing/fake-cluster.ts";
import { createDiscovery, discover } from "./discovery.ts";
import { createDiscoveryCache } from "./discovery-cache.ts";
import { errorFromAnswer } from "./map-error.ts";
import type { KubeTransport } from "./transport.ts";

type Answer = readonly [status: number, body: string];
const resource = (plural: string, kind: string, scope = "Namespaced") => ({
  resource: plural,
  responseKind: { group: "", version: "", kind },
  scope,
  verbs: ["get", "list"],
});
const list = (...items: object[]): Answer => [200, JSON.stringify({ kind: "APIGroupDiscoveryList", items })];
const CORE = list({ metadata: {}, versions: [{ version: "v1", resources: [resource("configmaps", "ConfigMap")] }] });
const GROUPS = list(
  {
    metadata: { name: "autoscaling" },
    versions: [
      { version: "v2", resources: [resource("horizontalpodautoscalers", "HorizontalPodAutoscaler")] },
      { version: "v1", resources: [resource("horizontalpodautoscalers", "HorizontalPodAutoscaler"), resource("scales", "")] },
    ],
  },
  { metadata: { name: "metrics.k8s.io" }, versions: [{ version: "v1beta1", freshness: "Stale" }] },
);

/** An API server that says nothing but this. */
function answering(answers: Readonly<Record<string, Answer>>): KubeTransport {
  return {
    async send(request) {
      const [status, body] = { "/readyz": [200, "ok"] as const, "/api": CORE, "/apis": GROUPS, ...answers }[request.path] ?? [404, ""];
      if (status >= 400) throw errorFromAnswer(status, body, request);
      return { status, body };
    },
    stream: () => Promise.reject(new Error("nothing is watched")),
    close: async () => {},
  };
}

describe("discovery", () => {
  it("finds a kind at its version, or at the one that the server prefers", async () => {
    const found = await discover(answering({}));
    expect(found.find("autoscaling", "HorizontalPodAutoscaler")?.version).toBe("v2");
    expect(found.find("autoscaling", "HorizontalPodAutoscaler", "v1")).toMatchObject({ plural: "horizontalpodautoscalers" });
    expect(found.find("autoscaling", "HorizontalPodAutoscaler", "v3")).toBeUndefined();
    expect(found.find("", "ConfigMap")).toMatchObject({ version: "v1", namespaced: true });
  });

  it("E006: a group that does not answer is told as such, with its version and without its kinds", async () => {
    const found = await discover(answering({}));
    expect([...found.failedGroups]).toEqual(["metrics.k8s.io"]);
    expect(found.apiVersions).toEqual(["v1", "autoscaling/v2", "autoscaling/v1", "metrics.k8s.io/v1beta1"]);
  });

  it.each<[string, Readonly<Record<string, Answer>>]>([
    ["is starting", { "/readyz": [500, "[-]poststarthook/crd-informer-synced failed: reason withheld"] }],
    ["does not tell its groups", { "/apis": [503, "service unavailable"] }],
    ["tells none of them", { "/apis": [404, "404 page not found"] }],
    ["tells them in the old way", { "/apis": [200, '{"kind":"APIGroupList","groups":[]}'] }],
  ])("I4: is not had at all from an API server that %s", async (_, answers) => {
    await expect(discover(answering(answers))).rejects.toMatchObject({ code: "KUBE_SERVER" });
  });

  it.each([403, 404])("does without a readiness that is kept from it with %i", async (status) => {
    await expect(discover(answering({ "/readyz": [status, ""] }))).resolves.toMatchObject({ failedGroups: new Set(["metrics.k8s.io"]) });
  });
});

describe("what is kept of discovery", () => {
  const metrics = { ...FAKE_TYPES[0]!, group: "metrics.k8s.io", version: "v1beta1", kind: "PodMetrics", plural: "pods" };

  it("E006: a group serves what it served before while it does not answer, and what it says once it does", async () => {
    const clock = new ManualClock();
    const cluster = createFakeCluster();
    const cache = createDiscoveryCache(cluster, clock);
    const answers = [
      createDiscovery({ types: [...FAKE_TYPES, metrics] }),
      createDiscovery({ types: FAKE_TYPES, failedGroups: new Set(["metrics.k8s.io"]) }),
      createDiscovery({ types: FAKE_TYPES }),
    ];
    cluster.discover = async () => answers.shift()!;
    const kinds = async () => {
      await clock.advance(1_000);
      const known = await cache.refresh();
      return [known.find("metrics.k8s.io", "PodMetrics")?.plural, known.apiVersions.includes("metrics.k8s.io/v1beta1")];
    };
    expect(await kinds()).toEqual(["pods", true]);
    expect(await kinds()).toEqual(["pods", true]);
    expect(await kinds()).toEqual([undefined, false]);
  });

  it("what could not be had at all changes nothing, and is asked for again", async () => {
    const clock = new ManualClock();
    const cluster = createFakeCluster();
    const cache = createDiscoveryCache(cluster, clock);
    await cache.current();
    await clock.advance(1_000);
    cluster.discover = () => Promise.reject(new Error("starting"));
    await expect(cache.refresh()).rejects.toThrow("starting");
    expect((await cache.current()).find("", "ConfigMap")).toBeDefined();
    await expect(cache.typeOf({ group: "example.com", kind: "Widget" })).rejects.toThrow("starting");
  });
});
