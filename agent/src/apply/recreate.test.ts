import { CodedError } from "@muster/shared/errors";
import type { Manifest } from "@muster/shared/model";
import { describe, expect, it } from "vitest";
import { configMap } from "../pull/testing/slice-maker.ts";
import { makeRoom } from "./recreate.ts";
import { createFakeCluster, FAKE_TYPES } from "./testing/fake-cluster.ts";

const { signal } = new AbortController();
const immutable = new CodedError("KUBE_IMMUTABLE", "cannot be changed");
const manifest: Manifest = {
  ...configMap("x"),
  metadata: {
    ...configMap("x").metadata,
    labels: { "muster.dev/bundle": "a" },
    annotations: { "muster.dev/recreate": "onImmutable" },
  },
};

describe.each([
  ["another UID", { uid: "of the one before" }],
  ["no UID yet", {}],
])("making room for an object that cannot be changed, where the inventory has %s", (_, known) => {
  const type = FAKE_TYPES[0]!;
  const makeRoomIn = (cluster: ReturnType<typeof createFakeCluster>) => {
    const options = { cluster, ownNamespace: "muster-system", failpoint: () => {}, onDelete: () => {} };
    return makeRoom({ type, manifest, ...known, error: immutable, isKnown: (bundle) => bundle === "a" }, options, signal);
  };

  it("E048: deletes what we made anew right before we were killed", async () => {
    const cluster = createFakeCluster();
    await cluster.apply(type, manifest, { force: true });
    await makeRoomIn(cluster);
    expect(cluster.objects.size).toBe(0);
  });

  it("E076: deletes nothing that somebody has marked as another fleet's", async () => {
    const cluster = createFakeCluster();
    const live = await cluster.apply(type, manifest, { force: true });
    cluster.put({ ...live, metadata: { ...live.metadata, labels: { "muster.dev/bundle": "unknown" } } });
    await expect(makeRoomIn(cluster)).rejects.toBe(immutable);
    expect(cluster.objects.size).toBe(1);
  });

  it("E076: deletes nothing that somebody else has made, though it has our label", async () => {
    const cluster = createFakeCluster();
    cluster.put(manifest);
    await expect(makeRoomIn(cluster)).rejects.toBe(immutable);
    expect(cluster.objects.size).toBe(1);
  });
});
