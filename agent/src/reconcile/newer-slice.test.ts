import { CodedError } from "@muster/shared/errors";
import { afterEach, describe, expect, it, vi } from "vitest";
import { configMap } from "../pull/testing/slice-maker.ts";
import { startAgent, stopAgents, values } from "./testing/fake-agent.ts";

afterEach(stopAgents);

describe("a slice that comes while an older one is being applied", () => {
  it("is applied at once, though the older one fails after it has come", async () => {
    const { cluster, take, bundle, synced } = startAgent();
    let refuse = () => {};
    const refused = new Promise<void>((resolve) => (refuse = resolve));
    let waits = false;
    cluster.onCall = async (call) => {
      if (call.verb !== "apply" || !call.ref.includes("_x_") || waits) return;
      waits = true;
      await refused;
      throw new CodedError("KUBE_INVALID", "the older one");
    };
    await take([{ name: "a", objects: [configMap("x", "older"), configMap("gone")] }]);
    await vi.waitFor(() => expect(waits).toBe(true));
    await take([{ name: "a", objects: [configMap("x", "newer")] }]);
    refuse();
    await synced("a");
    expect(values(cluster)["x"]).toBe("newer");
    expect(bundle("a")).toMatchObject({ failed: 0 });
  });

  it("has nothing to do with the failure of an object that it does not want any more", async () => {
    const { cluster, take, bundle, synced } = startAgent();
    let refuse = () => {};
    const refused = new Promise<void>((resolve) => (refuse = resolve));
    let waits = false;
    cluster.onCall = async (call) => {
      if (call.verb !== "apply" || !call.ref.includes("gone")) return;
      waits = true;
      await refused;
      throw new CodedError("KUBE_INVALID", "the older one");
    };
    await take([{ name: "a", objects: [configMap("x"), configMap("gone")] }]);
    await vi.waitFor(() => expect(waits).toBe(true));
    await take([{ name: "a", objects: [configMap("x")] }]);
    refuse();
    await synced("a");
    expect(bundle("a")).toMatchObject({ failed: 0 });
  });
});
