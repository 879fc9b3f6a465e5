import type { Slice } from "@muster/shared/model";
import { afterEach, describe, expect, it, vi } from "vitest";
import { loadKeptState } from "../pull/desired-state.ts";
import { createStateStore } from "../pull/state-store.ts";
import { configMap } from "../pull/testing/slice-maker.ts";
import { maker, settle, startAgent, stopAgents, values, writes } from "./testing/fake-agent.ts";

afterEach(stopAgents);

const PAUSED = { paused: true as const };
const ref = (name: string) => `web_${name}__ConfigMap` as const;

/** An agent with one bundle of two objects in force. */
async function setUp() {
  const agent = startAgent();
  await agent.take([{ name: "a", objects: [configMap("x"), configMap("y")] }]);
  await agent.synced("a");
  await settle(agent.cluster);
  writes(agent.cluster);
  const paused = (message: string) =>
    vi.waitFor(() => expect(agent.bundle("a")).toMatchObject({ state: "Paused", reason: "Paused", message }));
  /** All writes but those of the agent's own state. */
  const written = () => writes(agent.cluster).filter((call) => !call.includes("muster-state"));
  return { ...agent, paused, written };
}

describe("E100: a paused bundle", () => {
  it("is neither applied, nor corrected, nor pruned, and says what it keeps back; drift is told all the same", async () => {
    const { take, cluster, paused, written, events, reconciler } = await setUp();
    await take([{ name: "a", objects: [configMap("x", "2"), configMap("new")], options: PAUSED }]);
    await paused("paused in Git; 2 of 2 objects are not applied, 1 left Git");
    cluster.put({ ...cluster.objects.get(ref("x"))!, data: { value: "by hand" } });
    await paused("paused in Git; 2 of 2 objects are not applied, 1 has drifted, 1 left Git");
    reconciler.trigger("a");
    await settle(cluster);
    expect(events()).toContain("DriftDetected");
    expect(written()).toEqual([]);
    await take([{ name: "a", objects: [configMap("x", "2"), configMap("new")] }]);
    await vi.waitFor(() => expect(values(cluster)).toEqual({ x: "2", new: "1" }));
  });

  it("may be one that cannot be rendered and is only kept: paused, its drift stays, in a new process too; then it goes on", async () => {
    const { take, cluster, paused, stop } = await setUp();
    await take([{ name: "a", options: PAUSED }]);
    await paused("paused in Git");
    cluster.put({ ...cluster.objects.get(ref("x"))!, data: { value: "by hand" } });
    await settle(cluster);
    stop();
    const next = startAgent({ cluster });
    const { desired } = await loadKeptState(createStateStore({ cluster, namespace: "muster-system" }), [maker.publicKey]);
    next.reconciler.resume(desired!);
    await vi.waitFor(() => expect(next.bundle("a")).toMatchObject({ state: "Paused" }));
    await settle(cluster);
    expect(cluster.calls.filter(({ verb, dryRun }) => verb === "apply" && !dryRun)).toEqual([]);
    expect(values(cluster)).toEqual({ x: "by hand", y: "1" });
    await next.take([{ name: "a", options: {} }]);
    await vi.waitFor(() => expect(values(cluster)).toEqual({ x: "1", y: "1" }));
  });

  it("holds back only itself", async () => {
    const { take, cluster, synced } = await setUp();
    await take([
      { name: "a", objects: [configMap("x", "2")], options: PAUSED },
      { name: "b", objects: [configMap("z"), configMap("gone")] },
    ]);
    await synced("b");
    await take([
      { name: "a", objects: [configMap("x", "2")], options: PAUSED },
      { name: "b", objects: [configMap("z", "2")] },
    ]);
    await vi.waitFor(() => expect(values(cluster)).toEqual({ x: "1", y: "1", z: "2" }));
  });

  it("of which all is applied keeps neither a dependent nor the generation back; with changes to come it does", async () => {
    const { take, cluster, bundle, reconciler, synced } = await setUp();
    const dependent = (value: string) => ({ name: "b", objects: [configMap("z", value)], options: { dependsOn: ["a"] } });
    await take([{ name: "a", objects: [configMap("x"), configMap("y")], options: PAUSED }, dependent("1")]);
    await synced("b");
    await vi.waitFor(() => expect(reconciler.report(undefined).applied).toEqual(reconciler.report(undefined).seen));
    await take([{ name: "a", objects: [configMap("x", "2"), configMap("y")], options: PAUSED }, dependent("2")]);
    await vi.waitFor(() =>
      expect(bundle("b")).toMatchObject({
        state: "Pending",
        reason: "DEPENDENCY_NOT_READY",
        message: "It depends on the bundle a, which is paused",
      }),
    );
    await settle(cluster);
    expect(values(cluster)).toMatchObject({ z: "1" });
    expect(reconciler.report(undefined).applied).toBeUndefined();
  });

  it("gives away what moves to another bundle, and leaves what moves into it as it is", async () => {
    const { take, cluster, synced, written } = await setUp();
    const label = (name: string) => (cluster.objects.get(ref(name))!.metadata["labels"] as Record<string, string>)["muster.dev/bundle"];
    await take([
      { name: "a", objects: [configMap("y")], options: PAUSED },
      { name: "b", objects: [configMap("x", "2")] },
    ]);
    await synced("b");
    expect([label("x"), label("y")]).toEqual(["b", "a"]);
    await settle(cluster);
    written();
    await take([
      { name: "a", objects: [configMap("y"), configMap("x", "3")], options: PAUSED },
      { name: "b", objects: [configMap("z")] },
    ]);
    await synced("b");
    await settle(cluster);
    expect(written()).toEqual(["apply z"]);
    await take([{ name: "a", objects: [configMap("y"), configMap("x", "3")] }]);
    await synced("a");
    await vi.waitFor(() => expect(values(cluster)).toEqual({ x: "3", y: "1" }));
    expect(label("x")).toBe("a");
  });

  it("that leaves Git is deleted with an approval only; with onRemoval: orphan it is released at once", async () => {
    const { take, cluster, reconciler, written } = await setUp();
    await take([
      { name: "a", objects: [configMap("x"), configMap("y")], options: PAUSED },
      { name: "b", objects: [configMap("z")] },
    ]);
    await vi.waitFor(() => expect(values(cluster)).toMatchObject({ z: "1" }));
    await settle(cluster);
    written();
    const rest = [{ name: "b", objects: [configMap("z")] }];
    await take(rest);
    const held = await vi.waitFor(() => {
      const { heldDeletion } = reconciler.report(undefined);
      expect(heldDeletion?.message).toContain("2 of 3 objects left Git and are of a bundle that was paused when it left");
      return heldDeletion!;
    });
    await settle(cluster);
    expect(written()).toEqual([]);
    const more: Partial<Slice> = { approvedDeletions: [held.id] };
    await take(rest, more);
    await vi.waitFor(() => expect(values(cluster)).toEqual({ z: "1" }));

    await take([{ name: "c", objects: [configMap("o")], options: { ...PAUSED, onRemoval: "orphan" } }, ...rest]);
    // Nothing of a paused bundle is made, so let it run first.
    await take([{ name: "c", objects: [configMap("o")], options: { onRemoval: "orphan" } }, ...rest]);
    await vi.waitFor(() => expect(values(cluster)).toMatchObject({ o: "1" }));
    await take([{ name: "c", objects: [configMap("o")], options: { ...PAUSED, onRemoval: "orphan" } }, ...rest]);
    await take(rest);
    await vi.waitFor(() => expect(cluster.objects.get(ref("o"))?.metadata["labels"]).toEqual({}));
    expect(values(cluster)).toEqual({ z: "1", o: "1" });
  });

  it("P1: in a new process its drift is told, and nothing is written over", async () => {
    const { take, cluster, paused, inventory, reconciler, stop } = await setUp();
    await take([{ name: "a", objects: [configMap("x"), configMap("y", "2")], options: PAUSED }]);
    await paused("paused in Git; 1 of 2 objects are not applied");
    await vi.waitFor(async () => expect((await inventory()).entries.get(ref("x"))?.applied).toBeDefined());
    stop();
    cluster.put({ ...cluster.objects.get(ref("x"))!, data: { value: "by hand" } });
    const second = startAgent({ cluster });
    second.reconciler.resume(reconciler.desired!);
    await vi.waitFor(() => expect(second.bundle("a")?.message).toBe("paused in Git; 1 of 2 objects are not applied, 1 has drifted"));
    await settle(cluster);
    expect(values(cluster)).toEqual({ x: "by hand", y: "1" });
  });

  it("stops at once, also in the middle of what was being applied", async () => {
    const { take, cluster } = await setUp();
    const objects = Array.from({ length: 40 }, (_, index) => configMap(`m${index}`));
    let taken: Promise<void> | undefined;
    cluster.onCall = ({ verb }) => {
      if (verb === "apply") taken ??= take([{ name: "a", objects, options: PAUSED }]);
    };
    await take([{ name: "a", objects }]);
    await vi.waitFor(() => expect(taken).toBeDefined());
    await taken;
    await settle(cluster);
    expect(Object.keys(values(cluster)).length).toBeLessThan(40);
  });
});
