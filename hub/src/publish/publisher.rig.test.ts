import { createPublicKey } from "node:crypto";
import type { Slice } from "@muster/shared/model";
import { BLOB_STREAM, blobSubject, decodeManifestSet, decodeSlice, encodeSlice, SLICE_STREAM, sliceSubject } from "@muster/shared/wire";
import { connect, type JetStreamManager, type NatsConnection } from "nats";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import { type NatsServer, startNatsServer } from "../../../test/rig/nats-server.ts";
import { makeSigningKey, revision, startPublisher, type TestPublisher } from "./testing/publisher-rig.ts";

const signingKey = makeSigningKey();
const publicKey = createPublicKey(signingKey);
let nats: NatsServer;
let connection: NatsConnection;
let manager: JetStreamManager;
let hubs: TestPublisher[] = [];

beforeAll(async () => {
  nats = await startNatsServer();
});
afterAll(() => nats.stop());
beforeEach(async () => {
  connection = await connect({ servers: nats.url, reconnectTimeWait: 100, maxReconnectAttempts: -1 });
  manager = await connection.jetstreamManager({ checkAPI: false });
  for (const stream of [SLICE_STREAM, BLOB_STREAM]) await manager.streams.delete(stream).catch(() => {});
});
afterEach(async () => {
  await Promise.all(hubs.map((hub) => hub.stop()));
  hubs = [];
  await connection.close();
});

async function hub(more: Partial<Parameters<typeof startPublisher>[0]> = {}): Promise<TestPublisher> {
  const made = startPublisher({ url: nats.url, signingKey, publicKey, ...more });
  hubs.push(made);
  await made.ready();
  await made.load();
  return made;
}
const publish = (of: TestPublisher, objects: Record<string, string[]>) => {
  const { slices, sets, commits } = revision(objects, of.current);
  return of.publish(slices, sets, commits);
};
const message = async (cluster: string) =>
  (await manager.streams.getMessage(SLICE_STREAM, { last_by_subj: sliceSubject(cluster) })).string();
const slice = async (cluster: string): Promise<Slice> => decodeSlice(await message(cluster), [publicKey]).slice;
const objects = async (cluster: string): Promise<string[]> => {
  const found: string[] = [];
  for (const bundle of (await slice(cluster)).bundles) {
    if (bundle.state !== "desired") continue;
    const { blob, chunks } = bundle.manifestSet;
    const parts = await Promise.all(
      Array.from({ length: chunks }, (_, index) => manager.streams.getMessage(BLOB_STREAM, { last_by_subj: blobSubject(blob, index) })),
    );
    found.push(
      ...decodeManifestSet(bundle.manifestSet, Buffer.concat(parts.map((part) => part.data))).map(({ manifest }) => manifest.metadata.name),
    );
  }
  return found;
};
const generation = async (cluster: string) => (await slice(cluster)).generation;

describe("publishing", () => {
  it("puts manifest sets and slices where agents read them", async () => {
    const { moved, failed } = await publish(await hub(), { one: ["x", "y"], two: ["x"] });
    expect([[...moved.keys()].sort(), failed.size]).toEqual([["one", "two"], 0]);
    expect([await objects("one"), await objects("two"), await generation("one")]).toEqual([["x", "y"], ["x"], 1]);
  });

  it("E162, I8: moves only clusters whose content changed", async () => {
    const one = await hub();
    await publish(one, { one: ["x"], two: ["x"] });
    expect((await publish(one, { one: ["x"], two: ["x"] })).moved.size).toBe(0);
    expect([...(await publish(one, { one: ["x"], two: ["x", "y"] })).moved.keys()]).toEqual(["two"]);
    expect([await generation("one"), await generation("two")]).toEqual([1, 2]);
  });

  it("goes on after a restart from what the stream holds", async () => {
    const one = await hub();
    await publish(one, { one: ["x"] });
    await one.stop();
    const again = await hub();
    expect((await publish(again, { one: ["x"] })).moved.size).toBe(0);
    await publish(again, { one: ["y"] });
    expect([await generation("one"), await objects("one")]).toEqual([2, ["y"]]);
  });

  it("E212: an unknown outcome is read, then decided: nothing is published twice", async () => {
    const one = await hub({ failpoints: "hub.beforeAck=throw" });
    const { moved, failed } = await publish(one, { one: ["x"] });
    expect([moved.size, failed.size]).toEqual([1, 0]);
    expect((await manager.streams.info(SLICE_STREAM)).state.messages).toBe(1);
  });

  it("E211: of two hubs the slower one loses, reads, and goes on above", async () => {
    const [one, two] = [await hub(), await hub()];
    await publish(one, { one: ["x"] });
    const { failed } = await publish(two, { one: ["y"] });
    expect([...failed.values()].map((error) => error.code)).toEqual(["PUBLISH_CONFLICT"]);
    await publish(two, { one: ["y"] });
    expect([await generation("one"), await objects("one")]).toEqual([2, ["y"]]);
  });

  it("a slice that another key signed is superseded, not believed", async () => {
    const intruder = makeSigningKey();
    const one = await hub();
    await publish(one, { one: ["x"] });
    const forged = encodeSlice({ ...(await slice("one")), generation: 900 }, intruder).message;
    await connection.jetstream().publish(sliceSubject("one"), forged);
    await connection.jetstream().publish(sliceSubject("two"), "garbage");
    const fresh = await hub();
    expect([...fresh.current.keys()]).toEqual([]);
    await publish(fresh, { one: ["x"], two: ["x"] });
    expect([await generation("one"), await generation("two")]).toEqual([1, 1]);
    // The hub that knew the cluster's slice finds its own bytes again: the same inputs give the same slice.
    expect(await one.audit()).toEqual({ republished: 0, stirred: [], failed: [] });
  });
});

describe("auditing", () => {
  it("E201: puts back the same bytes after JetStream lost everything while the hub runs", async () => {
    const one = await hub();
    await publish(one, { one: ["x", "y"], two: ["x"] });
    const before = [await message("one"), await message("two")];
    await nats.wipe();
    await eventually(() => expect(one.link.connected).toBe(true));
    await eventually(async () => expect((await one.audit()).republished).toBe(4));
    await eventually(async () => expect([await message("one"), await message("two")]).toEqual(before));
    expect(await objects("one")).toEqual(["x", "y"]);
    expect((await one.audit()).republished).toBe(0);
  });

  it("E201, D7: goes above what agents have seen when everything was lost while the hub was down", async () => {
    const one = await hub();
    for (const name of ["x", "y", "z"]) await publish(one, { one: [name] });
    await one.stop();
    await manager.streams.delete(SLICE_STREAM);
    await manager.streams.delete(BLOB_STREAM);
    const again = await hub();
    await publish(again, { one: ["z"] });
    expect(await generation("one")).toBe(1);
    // The agent connects and tells that it has taken generation 3.
    expect(again.raiseAbove("one", { epoch: 1, generation: 3 })).toBe(true);
    await publish(again, { one: ["z"] });
    expect([await generation("one"), await objects("one")]).toEqual([4, ["z"]]);
    expect((await publish(again, { one: ["z"] })).moved.size).toBe(0);
  });

  it("E214, D7: what the stream holds is not taken for what a cluster has, while its agent has seen more", async () => {
    const one = await hub();
    await publish(one, { one: ["x"], two: ["x"] });
    await one.stop();
    const again = await hub();
    expect([...again.trusted.keys()].sort()).toEqual(["one", "two"]);
    // The end of the stream was lost while the hub was down; the agent tells.
    again.raiseAbove("one", { epoch: 1, generation: 7 });
    expect([[...again.trusted.keys()], [...again.current.keys()].sort()]).toEqual([["two"], ["one", "two"]]);
    await publish(again, { one: ["y"] });
    expect([await generation("one"), again.trusted.has("one")]).toEqual([8, true]);
  });

  it("E214: an older slice that came back is superseded by the bytes in force", async () => {
    const one = await hub();
    await publish(one, { one: ["x"] });
    const old = await message("one");
    await publish(one, { one: ["y"] });
    const wanted = await message("one");
    await connection.jetstream().publish(sliceSubject("one"), old);
    expect(await one.audit()).toMatchObject({ republished: 1, stirred: [], failed: [] });
    expect(await message("one")).toBe(wanted);
  });

  it("E215: one generation with two contents is followed by a higher one", async () => {
    const one = await hub();
    await publish(one, { one: ["x"] });
    const other = encodeSlice({ ...(await slice("one")), paused: true }, signingKey).message;
    await connection.jetstream().publish(sliceSubject("one"), other);
    expect((await one.audit()).stirred).toEqual(["one"]);
    await publish(one, { one: ["x"] });
    expect([(await generation("one")) > 1, (await slice("one")).paused]).toEqual([true, false]);
  });

  it("takes over a newer slice of another hub with the same key, instead of pushing its own older one over it", async () => {
    const [one, two] = [await hub(), await hub()];
    await publish(one, { one: ["x"] });
    await two.load();
    await publish(two, { one: ["y"] });
    const theirs = await message("one");
    expect((await one.audit()).stirred).toEqual(["one"]);
    expect([await message("one"), one.sliceOf("one")?.generation]).toEqual([theirs, 2]);
  });

  it("E226: a deep audit mends a manifest set that was damaged in place", async () => {
    const one = await hub();
    await publish(one, { one: ["x"] });
    const [bundle] = (await slice("one")).bundles;
    const subject = blobSubject(bundle?.state === "desired" ? bundle.manifestSet.blob : "", 0);
    await connection.jetstream().publish(subject, "damaged");
    expect((await one.audit()).republished).toBe(0);
    expect((await one.audit(true)).republished).toBe(1);
    expect(await objects("one")).toEqual(["x"]);
  });

  it("keeps the bytes of held bundles that it cannot render now, while the stream has them", async () => {
    await publish(await hub(), { one: ["x"] });
    const again = await hub();
    await again.audit();
    await manager.streams.delete(BLOB_STREAM);
    await again.audit();
    expect(await objects("one")).toEqual(["x"]);
  });

  it("E229: deletes manifest sets that no slice needs, after the grace period only", async () => {
    const patient = await hub();
    await publish(patient, { one: ["x"] });
    await publish(patient, { one: ["y"] });
    expect([await patient.collectGarbage(), await patient.collectGarbage()]).toEqual([0, 0]);
    const eager = await hub({ blobGracePeriodMs: 0 });
    expect(await eager.collectGarbage()).toBe(1);
    expect(await objects("one")).toEqual(["y"]);
    // What was deleted can be published again, even within the window in which the server drops repetitions.
    await publish(eager, { one: ["x"] });
    expect(await objects("one")).toEqual(["x"]);
  });
});

describe("streams", () => {
  it("E228: refuses to go on with a stream whose settings lose desired state, and goes on when they are mended", async () => {
    const one = await hub();
    await publish(one, { one: ["x"] });
    const { config } = await manager.streams.info(SLICE_STREAM);
    await manager.streams.update(SLICE_STREAM, { ...config, max_age: 3_600_000_000_000 });
    await expect(one.audit()).rejects.toMatchObject({ code: "NATS_STREAM" });
    expect([one.link.connected, one.losses.at(-1)]).toEqual([false, "NATS_STREAM"]);
    await manager.streams.update(SLICE_STREAM, { ...config, max_age: 0 });
    await eventually(() => expect(one.link.connected).toBe(true));
  });

  it("E216: a full stream refuses what is new with an error, and keeps what is old", async () => {
    const one = await hub();
    await publish(one, { one: ["x"] });
    const { config, state } = await manager.streams.info(SLICE_STREAM);
    await manager.streams.update(SLICE_STREAM, { ...config, max_bytes: state.bytes + 10 });
    const { failed } = await publish(one, { one: ["y"] });
    expect([...failed.values()].map((error) => error.code)).toEqual(["NATS_STREAM"]);
    expect(await objects("one")).toEqual(["x"]);
    await manager.streams.update(SLICE_STREAM, { ...config, max_bytes: -1 });
    await publish(one, { one: ["y"] });
    expect(await objects("one")).toEqual(["y"]);
  });

  it("I15: publishes to 3,000 clusters in one go", async () => {
    const one = await hub();
    const fleet = (value: string) =>
      Object.fromEntries(Array.from({ length: 3_000 }, (_, index) => [`c-${index}`, [value, `own-${index % 100}`]]));
    await publish(one, fleet("warm"));
    const next = revision(fleet("next"), one.current);
    const started = performance.now();
    const { moved, failed } = await one.publish(next.slices, next.sets, next.commits);
    const perSecond = (1_000 * moved.size) / (performance.now() - started);
    expect([moved.size, failed.size]).toEqual([3_000, 0]);
    // The bench measures; this only notices when something is slower by far.
    expect(perSecond).toBeGreaterThan(300);
    if (process.env["MUSTER_RIG_FIGURES"]) process.stderr.write(`${Math.round(perSecond)} slices/s with ${next.sets.size} manifest sets\n`);
  });
});
