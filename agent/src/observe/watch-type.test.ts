import { afterEach, describe, expect, it, vi } from "vitest";
import { configMap } from "../pull/testing/slice-maker.ts";
import { settle, startAgent, stopAgents } from "../reconcile/testing/fake-agent.ts";

afterEach(stopAgents);

describe("a list of what is watched that begins anew half-way", () => {
  it("E266, E267: counts for what it has at its end: what was deleted meanwhile is missing, though the first half still had it", async () => {
    const { cluster, take, synced, bundle, reconciler } = startAgent();
    await take([{ name: "a", objects: [configMap("x"), configMap("y")], options: { drift: { mode: "report", ignore: [] } } }]);
    await synced("a");
    await settle(cluster);
    const { list } = cluster;
    const halves: string[][] = [];
    cluster.list = async (type, options, signal) => {
      const { items } = await list(type, options, signal);
      if (halves.length === 0) {
        halves.push(items.map(({ metadata }) => metadata.name));
        options.onPage?.(items);
        // No watch is open that would tell of it.
        cluster.take("web_x__ConfigMap");
        options.onRestart?.();
      }
      return list(type, options, signal);
    };
    cluster.cutWatches();
    await vi.waitFor(() => expect(bundle("a")).toMatchObject({ state: "OutOfSync", drifted: 1 }), { timeout: 5_000 });
    expect(halves).toEqual([["x", "y"]]);
    expect(reconciler.exceptions()).toMatchObject([{ ref: { name: "x" }, drift: { kind: "missing" } }]);
  });
});
