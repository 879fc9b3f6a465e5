import { CodedError } from "@muster/shared/errors";
import type { BundleOptions, Manifest, ObjectRefText } from "@muster/shared/model";
import { afterEach, describe, expect, it, vi } from "vitest";
import { configMap } from "../pull/testing/slice-maker.ts";
import { maker, settle, startAgent, stopAgents, values, writes } from "./testing/fake-agent.ts";

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

describe("rules that a newer slice brings while an older one is being applied", () => {
  const names = Array.from({ length: 12 }, (_, index) => `m${index + 10}`);
  const last = "z";
  const refOf = (name: string) => `web_${name}__ConfigMap` as ObjectRefText;
  const bundle = (value: string, drift: Partial<BundleOptions["drift"]>) => [
    {
      name: "a",
      objects: [...names, last].map((name) => configMap(name, value)),
      options: { drift: { mode: "report" as const, ignore: [], ...drift } },
    },
  ];
  const ignore = [{ kind: "ConfigMap", name: last, paths: ["/data/value"] }];

  /** An agent at rest, of which every apply of some objects waits until it is let go; `held` resolves when the first one does. */
  async function setUp(mode: "report" | "correct") {
    const agent = startAgent();
    const { cluster, take, synced } = agent;
    await take(bundle("1", { mode }));
    await synced("a");
    await settle(cluster);
    const [waits, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const hold = (isHeld: (name: string) => boolean) => {
      cluster.onCall = async ({ verb, ref }) => {
        if (verb !== "apply" || !isHeld(ref.split("_")[1] ?? "")) return;
        waits.resolve();
        await goOn.promise;
      };
    };
    const edit = (name: string) => cluster.put({ ...cluster.objects.get(refOf(name))!, data: { value: "theirs" } });
    cluster.calls.splice(0);
    const applies = (name: string) =>
      cluster.calls.filter(({ verb, ref, dryRun }) => verb === "apply" && ref === refOf(name) && !dryRun).length;
    return { ...agent, hold, held: waits.promise, goOn: goOn.resolve, edit, applies };
  }

  it("leave fields of what has not had its turn yet to others at once", async () => {
    const { cluster, take, synced, hold, held, goOn, edit } = await setUp("report");
    edit(last);
    await settle(cluster);
    hold((name) => name !== last);
    await take(bundle("2", {}));
    await held;
    await take(bundle("2", { ignore }));
    goOn();
    await synced("a");
    await settle(cluster);
    expect(values(cluster)).toMatchObject({ m10: "2", [last]: "theirs" });
  });

  it("leave drift of what has not had its turn yet uncorrected at once, and tell of it", async () => {
    const { cluster, take, bundle: report, hold, held, goOn, edit, reconciler } = await setUp("correct");
    // All of it is drifted when the corrections begin.
    await take(bundle("1", { mode: "correct" }), { paused: true });
    for (const name of [...names, last]) edit(name);
    await settle(cluster);
    hold((name) => name !== last);
    await take(bundle("1", { mode: "correct" }));
    await held;
    await take(bundle("1", { mode: "report" }));
    goOn();
    await settle(cluster);
    expect(values(cluster)[last]).toBe("theirs");
    expect(report("a")).toMatchObject({ state: "OutOfSync" });
    expect(reconciler.exceptions().map(({ ref }) => ref.name)).toContain(last);
  });

  it("are applied to what was under way when they came, though Git says the same of it", async () => {
    const { cluster, take, synced, hold, held, goOn, applies } = await setUp("report");
    hold((name) => name === last);
    await take(bundle("2", {}));
    await held;
    await take(bundle("2", { ignore }));
    goOn();
    await synced("a");
    await settle(cluster);
    // Once by the older slice, and once to hand the field over.
    expect(applies(last)).toBe(2);
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

describe("what was looked at for an older slice", () => {
  /** An agent of which the next read of one object waits until it is let go. */
  async function setUp() {
    const agent = startAgent();
    const { cluster, take, synced } = agent;
    const drift = { mode: "correct" as const, ignore: [{ paths: ["/data/scaled"] }] };
    const bundle = (value: string) => [{ name: "a", objects: [configMap("x"), configMap("y", value)], options: { drift } }];
    await take(bundle("1"));
    await synced("a");
    await settle(cluster);
    const [held, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let waits = false;
    cluster.onCall = async ({ verb, ref }) => {
      if (verb !== "get" || !ref.includes("_y_") || waits) return;
      waits = true;
      held.resolve();
      await goOn.promise;
    };
    writes(cluster);
    const edit = (name: string) => cluster.put({ ...cluster.objects.get(`web_${name}__ConfigMap`)!, data: { value: "theirs" } });
    return { ...agent, report: agent.bundle, bundle, edit, held: held.promise, goOn: goOn.resolve };
  }

  it("is not written in a pause of the cluster, or of its bundle, that came meanwhile", async () => {
    for (const isOfCluster of [true, false]) {
      const { cluster, take, bundle, held, goOn } = await setUp();
      await take(bundle("2"));
      await held;
      const paused = bundle("2").map((one) => ({ ...one, options: { ...one.options, paused: true as const } }));
      await (isOfCluster ? take(bundle("2"), { paused: true }) : take(paused));
      goOn();
      await settle(cluster);
      expect(writes(cluster).filter((write) => write === "apply y")).toEqual([]);
    }
  });

  it("is not written in a pause that comes with a slice which cannot be kept yet, and all goes on with the next one", async () => {
    const { cluster, take, bundle, report, synced, held, goOn, edit } = await setUp();
    await take(bundle("2"));
    await held;
    const before = cluster.onCall;
    cluster.onCall = (call) => {
      if (call.ref.includes("muster-state-slice")) throw new CodedError("KUBE_SERVER", "etcd is slow");
      return before?.(call);
    };
    await expect(take(bundle("2"), { paused: true })).rejects.toMatchObject({ code: "AGENT_STATE" });
    goOn();
    await settle(cluster);
    edit("x");
    await settle(cluster);
    expect(values(cluster)).toEqual({ x: "theirs", y: "1" });
    expect(report("a")).toMatchObject({ state: "Paused" });
    expect(writes(cluster).filter((write) => /^(apply|delete) [xy]$/.test(write))).toEqual([]);
    cluster.onCall = undefined;
    await take(bundle("3"));
    await synced("a");
    expect(values(cluster)).toEqual({ x: "1", y: "3" });
  });

  it("is not written from when a slice that pauses is known, though it is not there yet, until a newer one takes that back", async () => {
    const { cluster, synced, take, bundle, held, goOn, reconciler, report } = await setUp();
    await take(bundle("2"));
    await held;
    const pauses = maker.make(bundle("2"), { paused: true }).slice;
    const goesOn = maker.make(bundle("2")).slice;
    reconciler.coming(pauses);
    goOn();
    await settle(cluster);
    expect(values(cluster)["y"]).toBe("1");
    expect(report("a")).toMatchObject({ state: "Paused" });
    // What is older than another one says nothing any more.
    reconciler.coming(goesOn);
    reconciler.coming(pauses);
    await synced("a");
    expect(values(cluster)["y"]).toBe("2");
  });

  it("is not deleted while a newer slice is known that may want it, though it cannot be kept yet; then as that one says", async () => {
    const { cluster, synced, take, held, goOn } = await setUp();
    await take([{ name: "a", objects: [configMap("x")] }]);
    await held;
    const before = cluster.onCall;
    cluster.onCall = (call) => {
      if (call.ref.includes("muster-state-slice")) throw new CodedError("KUBE_SERVER", "etcd is slow");
      return before?.(call);
    };
    const wantsIt = [{ name: "a", objects: [configMap("x"), configMap("y")] }];
    await expect(take(wantsIt)).rejects.toMatchObject({ code: "AGENT_STATE" });
    goOn();
    await settle(cluster);
    expect(writes(cluster).filter((write) => write === "delete y")).toEqual([]);
    cluster.onCall = undefined;
    await take([{ name: "a", objects: [configMap("x", "2")] }]);
    await synced("a");
    await vi.waitFor(() => expect(values(cluster)).toEqual({ x: "2" }));
  });

  it("is written again when the pause that came with such a slice is taken back by one that cannot be kept either", async () => {
    const { cluster, take, bundle, held, goOn, edit } = await setUp();
    await take(bundle("2"));
    await held;
    cluster.onCall = (call) => {
      if (call.ref.includes("muster-state-slice")) throw new CodedError("KUBE_SERVER", "etcd is slow");
    };
    await expect(take(bundle("2"), { paused: true })).rejects.toMatchObject({ code: "AGENT_STATE" });
    goOn();
    edit("x");
    await settle(cluster);
    expect(values(cluster)).toEqual({ x: "theirs", y: "1" });
    await expect(take(bundle("2"))).rejects.toMatchObject({ code: "AGENT_STATE" });
    await vi.waitFor(() => expect(values(cluster)).toEqual({ x: "1", y: "2" }));
  });

  it("is not deleted when a newer slice wants it again, and its deletion has not failed", async () => {
    const { cluster, take, bundle, synced, held, goOn } = await setUp();
    await take([{ name: "a", objects: [configMap("x")] }]);
    await held;
    await take(bundle("1"));
    goOn();
    await synced("a");
    await settle(cluster);
    expect(writes(cluster).filter((write) => write === "delete y")).toEqual([]);
    expect(values(cluster)).toEqual({ x: "1", y: "1" });
  });
});
