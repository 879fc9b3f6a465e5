import { CodedError } from "@muster/shared/errors";
import type { Manifest } from "@muster/shared/model";
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

describe("E136: a slice that comes while an older one waits for a definition", () => {
  it("waits for nothing of the older one, and what the older one waited for has not failed", async () => {
    const { cluster, take, bundle, synced } = startAgent();
    const crd = (name: string): Manifest => ({
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      metadata: { name },
      spec: {},
    });
    let looks = 0;
    cluster.onCall = (call) => {
      if (call.verb === "get" && call.ref.includes("never.example.com")) looks += 1;
    };
    await take([{ name: "a", objects: [crd("never.example.com"), configMap("x", "older")] }]);
    // It is never established, and is looked at until it is.
    await vi.waitFor(() => expect(looks).toBeGreaterThan(3));
    const started = performance.now();
    await take([{ name: "a", objects: [configMap("x", "newer")] }]);
    await synced("a");
    expect(performance.now() - started).toBeLessThan(4_000);
    expect(values(cluster)["x"]).toBe("newer");
    expect(bundle("a")).toMatchObject({ failed: 0 });
  });
});
