import { randomBytes } from "node:crypto";
import { CodedError } from "@muster/shared/errors";
import { describe, expect, it } from "vitest";
import { createFakeCluster, type FakeCluster } from "../apply/testing/fake-cluster.ts";
import { createStateStore } from "./state-store.ts";

const storeOn = (cluster: FakeCluster) => createStateStore({ cluster, namespace: "muster-system" });
const secrets = (cluster: FakeCluster) => [...cluster.objects.keys()].filter((ref) => ref.endsWith("__Secret"));
const writes = (cluster: FakeCluster) => cluster.calls.filter((call) => call.verb !== "get" && call.verb !== "list").length;
/** Random bytes do not compress, so that they need as many shards as they are long. */
const large = (bytes = 2_000_000) => randomBytes(bytes);

describe("the agent's state", () => {
  it("a value comes back as it was, small or sharded, in a new process too", async () => {
    const cluster = createFakeCluster();
    const big = large();
    await storeOn(cluster).write("small", Buffer.from("one"));
    await storeOn(cluster).write("big", big);
    expect((await storeOn(cluster).read("small"))?.toString()).toBe("one");
    expect(Buffer.compare((await storeOn(cluster).read("big"))!, big)).toBe(0);
    expect(await storeOn(cluster).read("none")).toBeUndefined();
  });

  it("E097: no Secret is larger than an API server takes", async () => {
    const cluster = createFakeCluster();
    await storeOn(cluster).write("big", large());
    for (const ref of secrets(cluster)) expect(JSON.stringify(cluster.objects.get(ref)).length).toBeLessThan(1_000_000);
  });

  it("I9: writing what is there already costs no request", async () => {
    const cluster = createFakeCluster();
    const store = storeOn(cluster);
    await store.write("a", Buffer.from("one"));
    const before = cluster.calls.length;
    await store.write("a", Buffer.from("one"));
    expect(cluster.calls.length).toBe(before);
    const restarted = storeOn(cluster);
    await restarted.read("a");
    const wrote = writes(cluster);
    await restarted.write("a", Buffer.from("one"));
    expect(writes(cluster)).toBe(wrote);
  });

  it("a crash at any write leaves the old value or the new one, and what it leaves behind is removed", async () => {
    for (let at = 1; ; at++) {
      const cluster = createFakeCluster();
      const [before, after] = [large(), large()];
      await storeOn(cluster).write("a", before);
      let seen = 0;
      cluster.onCall = (call) => {
        if (call.verb !== "get" && ++seen === at) throw new CodedError("KUBE_UNREACHABLE", "crash");
      };
      const crashed = await storeOn(cluster)
        .write("a", after)
        .then(
          () => false,
          () => true,
        );
      cluster.onCall = undefined;
      const fresh = storeOn(cluster);
      const value = (await fresh.read("a"))!;
      expect([before, after].some((whole) => Buffer.compare(whole, value) === 0)).toBe(true);
      expect(await fresh.names()).toEqual(["a"]);
      expect(secrets(cluster)).toHaveLength(4);
      if (!crashed) break;
    }
  });

  it("E096: damage is AGENT_STATE_CORRUPT, an API server that does not answer is not", async () => {
    const cluster = createFakeCluster();
    await storeOn(cluster).write("a", Buffer.from("one"));
    const ref = secrets(cluster)[0]!;
    const secret = cluster.objects.get(ref)!;
    for (const data of [{}, { root: "e30=" }, { ...(secret["data"] as Record<string, string>), value: "AAAA" }]) {
      cluster.put({ ...secret, data });
      const store = storeOn(cluster);
      await expect(store.read("a")).rejects.toMatchObject({ code: "AGENT_STATE_CORRUPT" });
      await store.write("a", Buffer.from("one"));
      expect((await storeOn(cluster).read("a"))?.toString()).toBe("one");
    }
    cluster.onCall = () => {
      throw new CodedError("KUBE_UNREACHABLE", "down");
    };
    await expect(storeOn(cluster).read("a")).rejects.toMatchObject({ code: "AGENT_STATE" });
  });

  it("removing a value removes its shards, also those of another process", async () => {
    const cluster = createFakeCluster();
    await storeOn(cluster).write("big", large());
    const store = storeOn(cluster);
    expect(await store.names()).toEqual(["big"]);
    await store.remove("big");
    expect(secrets(cluster)).toEqual([]);
    expect(await store.names()).toEqual([]);
  });

  it("E186: what another process has written meanwhile is not written over unseen", async () => {
    const cluster = createFakeCluster();
    const [first, second] = [storeOn(cluster), storeOn(cluster)];
    expect(await first.read("a")).toBeUndefined();
    await second.write("a", Buffer.from("theirs"));
    await expect(first.write("a", Buffer.from("mine"))).rejects.toMatchObject({ code: "AGENT_STATE_CONFLICT" });
    expect((await storeOn(cluster).read("a"))?.toString()).toBe("theirs");
    // Now it has been seen.
    await first.write("a", Buffer.from("mine"));
    expect((await storeOn(cluster).read("a"))?.toString()).toBe("mine");
    await expect(second.write("a", Buffer.from("theirs again"))).rejects.toMatchObject({ code: "AGENT_STATE_CONFLICT" });
  });

  it("a write whose answer was lost is no conflict with oneself, and costs nothing more than a look", async () => {
    const cluster = createFakeCluster();
    const store = storeOn(cluster);
    await store.write("a", Buffer.from("one"));
    const { replace } = cluster;
    cluster.replace = async (...asked) => {
      await replace(...asked);
      throw new CodedError("KUBE_UNREACHABLE", "the answer was lost");
    };
    await expect(store.write("a", Buffer.from("two"))).rejects.toMatchObject({ code: "AGENT_STATE" });
    cluster.replace = replace;
    const before = cluster.calls.length;
    await store.write("a", Buffer.from("three"));
    expect(cluster.calls.slice(before).map(({ verb }) => verb)).toEqual(["replace", "get", "replace"]);
    expect((await storeOn(cluster).read("a"))?.toString()).toBe("three");
  });

  it("what somebody has deleted is made again", async () => {
    const cluster = createFakeCluster();
    const store = storeOn(cluster);
    await store.write("a", Buffer.from("one"));
    cluster.take(secrets(cluster)[0] as never);
    await store.write("a", Buffer.from("two"));
    expect((await storeOn(cluster).read("a"))?.toString()).toBe("two");
  });
});
