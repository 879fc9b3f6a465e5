import { CodedError } from "@muster/shared/errors";
import type { Manifest } from "@muster/shared/model";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ManualClock } from "../../../test/rig/manual-clock.ts";
import { configMap } from "../pull/testing/slice-maker.ts";
import { settle, startAgent, stopAgents } from "./testing/fake-agent.ts";

afterEach(stopAgents);

describe("what cannot be deleted", () => {
  it("E103: costs at most two attempts a minute in the long run, and one event", async () => {
    const clock = new ManualClock();
    const { cluster, take, bundle, events } = startAgent({ clock });
    const held: Manifest = { ...configMap("held"), metadata: { ...configMap("held").metadata, finalizers: ["a/b"] } };
    await take([{ name: "a", objects: [configMap("denied"), held, configMap("y")] }]);
    await vi.waitFor(() => expect(bundle("a")?.state).toBe("Synced"));
    await settle(cluster);
    cluster.onCall = (call) => {
      if (call.verb === "delete" && call.ref.includes("denied")) throw new CodedError("KUBE_DENIED", "policy says no");
    };
    await take([{ name: "a", objects: [configMap("y")] }]);
    await settle(cluster);
    const minutes = async (count: number) => {
      cluster.calls.length = 0;
      for (let second = 0; second < count * 60; second += 1) {
        await clock.advance(1_000);
        await settle(cluster);
      }
      return (name: string, verb: string) => cluster.calls.filter((call) => call.verb === verb && call.ref.includes(name)).length;
    };
    await minutes(5);
    const calls = await minutes(10);
    expect(calls("denied", "delete")).toBeGreaterThan(0);
    expect(calls("denied", "delete")).toBeLessThanOrEqual(20);
    expect(calls("held", "delete")).toBe(0);
    expect(calls("held", "get")).toBeLessThanOrEqual(40);
    expect(events().filter((type) => type === "PruneBlocked")).toHaveLength(1);
  });
});
