import { describe, expect, it } from "vitest";
import { createFakeCluster } from "../apply/testing/fake-cluster.ts";
import { completeSlice, contentOf, type DesiredState, dropUnusedBlobs, keepState, loadKeptState } from "./desired-state.ts";
import { createStateStore } from "./state-store.ts";
import { configMap, createSliceMaker, type MadeSlice } from "./testing/slice-maker.ts";

const setUp = () => {
  const cluster = createFakeCluster();
  const maker = createSliceMaker();
  const store = () => createStateStore({ cluster, namespace: "muster-system" });
  const fetched = new Map<string, Uint8Array>();
  let fetches = 0;
  const complete = async (made: MadeSlice, before?: DesiredState) => {
    fetched.clear();
    return completeSlice({
      ...made,
      before,
      fetchBlob: (ref) => {
        fetches += 1;
        return maker.fetchBlob(ref);
      },
      onBlob: (ref, bytes) => void fetched.set(ref.blob, bytes),
    });
  };
  const keep = async (made: MadeSlice, before?: DesiredState) => {
    const desired = await complete(made, before);
    await keepState(store(), desired, { fetched, ...(before && { before }) });
    return desired;
  };
  const load = () => loadKeptState(store(), [maker.publicKey]);
  return { cluster, maker, store, complete, keep, load, fetches: () => fetches };
};
const names = (desired: DesiredState | undefined, bundle: string) =>
  desired?.bundles.get(bundle)?.map((line) => line.manifest.metadata.name);

describe("desired state", () => {
  it("an unchanged manifest set is not fetched again", async () => {
    const { maker, complete, fetches } = setUp();
    const first = await complete(
      maker.make([
        { name: "a", objects: [configMap("x")] },
        { name: "b", objects: [configMap("y")] },
      ]),
    );
    expect(fetches()).toBe(2);
    const second = await complete(
      maker.make([
        { name: "a", objects: [configMap("x")] },
        { name: "b", objects: [configMap("y", "2")] },
      ]),
      first,
    );
    expect(fetches()).toBe(3);
    expect(second.bundles.get("a")).toBe(first.bundles.get("a"));
  });

  it("D5: a slice with one missing or corrupt manifest set is not handed on", async () => {
    const { maker, complete } = setUp();
    const made = maker.make([
      { name: "a", objects: [configMap("x")] },
      { name: "b", objects: [configMap("y")] },
    ]);
    const [blob, bytes] = [...maker.blobs][1]!;
    maker.blobs.delete(blob);
    await expect(complete(made)).rejects.toMatchObject({ code: "BLOB_MISSING" });
    maker.blobs.set(blob, Buffer.concat([bytes.subarray(0, -1), Buffer.from([bytes.at(-1)! ^ 1])]));
    await expect(complete(made)).rejects.toMatchObject({ code: "BLOB_CORRUPT" });
  });

  it("the signed list of objects must be that of the manifest set", async () => {
    const { maker, complete } = setUp();
    const made = maker.make([{ name: "a", objects: [configMap("x")] }]);
    const bundles = made.slice.bundles.map((bundle) => ({ ...bundle, objects: [] }));
    await expect(complete({ ...made, slice: { ...made.slice, bundles: bundles as typeof made.slice.bundles } })).rejects.toMatchObject({
      code: "SLICE_MALFORMED",
    });
  });

  it("P3: what was kept comes back in a new process, and its signature is verified again", async () => {
    const { cluster, maker, keep, load } = setUp();
    expect(await load()).toEqual({});
    const made = maker.make([{ name: "a", objects: [configMap("x")] }]);
    await keep(made);
    const kept = await load();
    expect(kept.highWater).toMatchObject({ epoch: 1, generation: 1, digest: made.digest });
    expect(names(kept.desired, "a")).toEqual(["x"]);
    const stranger = createSliceMaker();
    expect((await loadKeptState(createStateStore({ cluster, namespace: "muster-system" }), [stranger.publicKey])).problem).toMatchObject({
      code: "SLICE_SIGNATURE",
    });
  });

  it("a kept bundle has the objects and options of the last slice that knew it, across restarts and further slices", async () => {
    const { maker, keep, load, store } = setUp();
    const options = { drift: { mode: "report" as const, ignore: [{ paths: ["/spec/replicas"] }] } };
    const first = await keep(
      maker.make([
        { name: "a", objects: [configMap("x")] },
        { name: "b", objects: [configMap("y")], options },
      ]),
    );
    const second = await keep(maker.make([{ name: "a", objects: [configMap("x", "2")] }, { name: "b" }]), first);
    const third = await keep(maker.make([{ name: "a", objects: [configMap("x", "3")] }, { name: "b" }]), second);
    await dropUnusedBlobs(store(), third);
    const { desired, problem } = await load();
    expect(problem).toBeUndefined();
    expect(names(desired, "b")).toEqual(["y"]);
    expect(contentOf({ name: "b", state: "keep", reason: "X" }, desired!)?.options.drift).toEqual(options.drift);
  });

  it("P3: a crash before the slice that keeps other bundles than the one before leaves the objects of both", async () => {
    const { maker, store, complete, keep, load } = setUp();
    const [a, b] = [
      { name: "a", objects: [configMap("x")] },
      { name: "b", objects: [configMap("y")] },
    ];
    const first = await keep(maker.make([a, b]));
    const second = await keep(maker.make([a, { name: "b" }]), first);
    const third = await complete(maker.make([{ name: "a" }, b]), second);
    const failpoint = (name: string) => {
      if (name === "agent.afterLastGoodKept") throw new Error("killed");
    };
    await expect(keepState(store(), third, { before: second, failpoint })).rejects.toThrow("killed");
    const { desired } = await load();
    expect(desired?.slice.generation).toBe(second.slice.generation);
    expect([names(desired, "a"), names(desired, "b")]).toEqual([["x"], ["y"]]);
    await keepState(store(), third, { before: second });
    const { desired: last } = await load();
    expect([names(last, "a"), names(last, "b")]).toEqual([["x"], ["y"]]);
  });

  it("I2: a crash between slice and high-water mark does not let an older slice in", async () => {
    const { maker, store, keep, load } = setUp();
    await keep(maker.make([]));
    const newer = maker.make([], { generation: 9 });
    await store().write("slice", Buffer.from(newer.message));
    expect((await load()).highWater).toMatchObject({ generation: 9, digest: newer.digest });
  });

  it("E096: a damaged slice keeps the high-water mark and says so; an API server that fails is waited for", async () => {
    const { cluster, maker, keep, load } = setUp();
    await keep(maker.make([{ name: "a", objects: [configMap("x")] }]));
    const ref = "muster-system_muster-state-slice__Secret";
    cluster.put({ ...cluster.objects.get(ref)!, data: {} });
    const kept = await load();
    expect([kept.highWater?.generation, kept.desired, kept.problem?.code]).toEqual([1, undefined, "AGENT_STATE_CORRUPT"]);
    cluster.onCall = (call) => {
      if (call.ref === ref) throw new Error("connection reset");
    };
    await expect(load()).rejects.toMatchObject({ code: "AGENT_STATE" });
  });

  it("manifest sets that no slice needs any more are removed", async () => {
    const { cluster, maker, keep, store } = setUp();
    const first = await keep(maker.make([{ name: "a", objects: [configMap("x")] }]));
    const second = await keep(maker.make([{ name: "a", objects: [configMap("x", "2")] }]), first);
    const blobs = () => [...cluster.objects.keys()].filter((ref) => ref.includes("state-blob"));
    expect(blobs()).toHaveLength(2);
    await dropUnusedBlobs(store(), second);
    expect(blobs()).toHaveLength(1);
  });
});
