import { CodedError } from "@muster/shared/errors";
import type { DriftMode, Manifest, ObjectRefText } from "@muster/shared/model";
import { afterEach, describe, expect, it, vi } from "vitest";
import { DRIFT_ANNOTATION } from "../plan/drift-policy.ts";
import { configMap, type MadeBundle } from "../pull/testing/slice-maker.ts";
import { settle, startAgent, stopAgents, values, writes } from "./testing/fake-agent.ts";

afterEach(() => stopAgents());

type Agent = ReturnType<typeof startAgent>;

const said = (name: string, word: string, value = "1"): Manifest => {
  const map = configMap(name, value);
  return { ...map, metadata: { ...map.metadata, annotations: { [DRIFT_ANNOTATION]: word } } };
};
const bundle = (mode: DriftMode, objects: readonly Manifest[]): MadeBundle => ({
  name: "a",
  objects,
  options: { drift: { mode, ignore: [] } },
});
const refOf = (name: string) => `web_${name}__ConfigMap` as ObjectRefText;
const edit = ({ cluster }: Agent, name: string) => cluster.put({ ...cluster.objects.get(refOf(name))!, data: { value: "edited" } });
const drifts = ({ reconciler }: Agent) =>
  reconciler.exceptions().flatMap(({ ref, drift, code }) => (drift || code ? [`${ref.name} ${code ?? drift?.kind}`] : []));

describe("what left a bundle", () => {
  it.each(["correct", "report", "off"] as const)("I9: leaves nothing to write behind when it is deleted, in mode %s", async (mode) => {
    const { cluster, take, synced, reconciler } = startAgent();
    const other: MadeBundle = { name: "b", objects: [configMap("other")] };
    await take([bundle(mode, [configMap("x")]), other]);
    await synced("a");
    await take([bundle(mode, []), other]);
    await vi.waitFor(() => expect(values(cluster)).toEqual({ other: "1" }));
    await settle(cluster);
    writes(cluster);
    reconciler.trigger();
    await settle(cluster);
    expect(writes(cluster)).toEqual([]);
  });
});

describe("a revert in Git", () => {
  it.each(["report", "off"] as const)(
    "is applied in mode %s, also of a revision that was never complete, and by a new process",
    async (mode) => {
      for (const restarts of [false, true]) {
        const first = startAgent();
        const { cluster } = first;
        await first.take([bundle(mode, [configMap("x"), configMap("z")])]);
        await first.synced("a");
        cluster.onCall = ({ verb, ref }) => {
          if (verb === "apply" && ref === refOf("z")) throw new CodedError("KUBE_DENIED", "policy says no");
        };
        await first.take([bundle(mode, [configMap("x", "2"), configMap("z", "2")])]);
        await vi.waitFor(() => expect(values(cluster)).toEqual({ x: "2", z: "1" }));
        await settle(cluster);
        cluster.onCall = undefined;
        if (restarts) first.stop();
        const last = restarts ? startAgent({ cluster }) : first;
        if (restarts) last.reconciler.resume(first.reconciler.desired!);
        await last.take([bundle(mode, [configMap("x"), configMap("z")])]);
        await last.synced("a");
        await settle(cluster);
        expect(values(cluster)).toEqual({ x: "1", z: "1" });
      }
    },
  );
});

describe("an apply that was done and not answered", () => {
  /** In force: x in the bundle a. */
  async function setUp() {
    const agent = startAgent();
    const { cluster } = agent;
    await agent.take([bundle("report", [configMap("x")])]);
    await agent.synced("a");
    await settle(cluster);
    const { apply } = cluster;
    /** From now on the answers to applies of x are lost. */
    const loseAnswers = () => {
      cluster.apply = async (type, manifest, options) => {
        const live = await apply(type, manifest, options);
        if (manifest.metadata.name === "x" && !options.dryRun) throw new CodedError("KUBE_UNREACHABLE", "cut");
        return live;
      };
    };
    const answer = () => {
      cluster.apply = apply;
    };
    return { ...agent, loseAnswers, answer };
  }

  it("is taken back when Git goes back before it is tried again, by a new process too", async () => {
    for (const restarts of [false, true]) {
      const first = await setUp();
      const { cluster } = first;
      first.loseAnswers();
      await first.take([bundle("report", [configMap("x", "2")])]);
      await vi.waitFor(() => expect(values(cluster)).toEqual({ x: "2" }));
      await settle(cluster);
      first.answer();
      if (restarts) first.stop();
      // A new process knows of it by what it finds in the inventory alone.
      const last = restarts ? startAgent({ cluster }) : first;
      await last.take([bundle("report", [configMap("x")])]);
      await last.synced("a");
      await settle(cluster);
      expect(values(cluster)).toEqual({ x: "1" });
    }
  });

  it("for another bundle, leaves nothing of that one behind when the object comes back to its own", async () => {
    const { cluster, take, synced, loseAnswers, answer } = await setUp();
    loseAnswers();
    const other = { ...bundle("report", [configMap("x")]), name: "b" };
    await take([bundle("report", []), other]);
    const label = () => cluster.objects.get(refOf("x"))?.metadata["labels"];
    await vi.waitFor(() => expect(label()).toEqual({ "muster.dev/bundle": "b" }));
    await settle(cluster);
    answer();
    await take([bundle("report", [configMap("x")]), { ...other, objects: [] }]);
    await synced("a");
    await settle(cluster);
    expect(label()).toEqual({ "muster.dev/bundle": "a" });
  });
});

describe("a bundle that gets another name", () => {
  it("E077: goes on with what was applied under the old one and not answered, as often as it is renamed", async () => {
    const agent = startAgent();
    const { cluster, take, synced, bundle: report } = agent;
    const { apply } = cluster;
    cluster.apply = async (type, manifest, options) => {
      const live = await apply(type, manifest, options);
      if (manifest.metadata.name === "x") throw new CodedError("KUBE_UNREACHABLE", "cut");
      return live;
    };
    const named = (name: string) => [{ ...bundle("correct", [configMap("x")]), name }];
    await take(named("a"));
    await vi.waitFor(() => expect(report("a")).toMatchObject({ failed: 1 }));
    cluster.onCall = ({ verb, ref }) => {
      if (verb === "apply" && ref === refOf("x")) throw new CodedError("KUBE_THROTTLED", "not now");
    };
    await take(named("b"));
    await vi.waitFor(() => expect(report("b")).toMatchObject({ failed: 1 }));
    cluster.onCall = undefined;
    cluster.apply = apply;
    await take(named("c"));
    await synced("c");
    await settle(cluster);
    expect(cluster.objects.get(refOf("x"))?.metadata["labels"]).toEqual({ "muster.dev/bundle": "c" });
    expect((await agent.inventory()).entries.get(refOf("x"))).not.toHaveProperty("was");
  });
});

describe("an object that Git wants back while it is being deleted", () => {
  it.each(["report", "off"] as const)("is made anew when it is gone, also in mode %s, which it got meanwhile", async (mode) => {
    const agent = startAgent();
    const { cluster, take, synced } = agent;
    await take([bundle("correct", [configMap("x"), configMap("y")])]);
    await synced("a");
    await settle(cluster);
    const live = cluster.objects.get(refOf("x"))!;
    const metadata = { ...live.metadata, deletionTimestamp: "2026-01-01T00:00:00Z", finalizers: ["example.com/held"] };
    cluster.put({ ...live, metadata });
    await settle(cluster);
    await take([bundle("correct", [configMap("x", "2"), configMap("y")])]);
    await vi.waitFor(() => expect(values(cluster)).toMatchObject({ x: "2" }));
    await settle(cluster);
    await take([bundle(mode, [configMap("x", "2"), configMap("y")])]);
    await settle(cluster);
    cluster.take(refOf("x"));
    await vi.waitFor(() => expect(values(cluster)).toEqual({ x: "2", y: "1" }));
  });
});

describe("drift mode off", () => {
  it("neither corrects nor tells what others do, also that they delete; the next revision that changes an object applies it", async () => {
    const agent = startAgent();
    const { cluster, take, synced, events, reconciler } = agent;
    await take([bundle("off", [configMap("x"), configMap("y"), configMap("z")])]);
    await synced("a");
    await settle(cluster);
    writes(cluster);
    edit(agent, "x");
    cluster.take(refOf("y"));
    await settle(cluster);
    expect(agent.bundle("a")).toMatchObject({ state: "Synced", health: "Current", drifted: 0 });
    expect(reconciler.exceptions()).toEqual([]);
    expect(reconciler.inspect({}).find((one) => one.ref.name === "y")).toMatchObject({
      health: "NotFound",
      message: "It was deleted; its drift mode is off",
    });
    expect(events()).not.toContain("DriftDetected");
    expect(writes(cluster)).toEqual([]);
    await take([bundle("off", [configMap("x"), configMap("y"), configMap("z", "2")])]);
    await vi.waitFor(() => expect(values(cluster)).toEqual({ x: "edited", z: "2" }));
    await take([bundle("off", [configMap("x", "2"), configMap("y", "2"), configMap("z", "2")])]);
    await vi.waitFor(() => expect(values(cluster)).toEqual({ x: "2", y: "2", z: "2" }));
  });

  it("holds for a new process, and when somebody asks for a try now", async () => {
    const first = startAgent();
    const { cluster } = first;
    const bundles = [bundle("off", [configMap("x"), configMap("y")])];
    await first.take(bundles);
    await vi.waitFor(async () => expect((await first.inventory()).applied.size).toBe(1));
    first.stop();
    edit(first, "x");
    cluster.take(refOf("y"));
    const second = startAgent({ cluster });
    await second.take(bundles);
    await second.synced("a");
    second.reconciler.trigger("a");
    await settle(cluster);
    expect(values(cluster)).toEqual({ x: "edited" });
    expect(second.reconciler.exceptions()).toEqual([]);
  });

  it("leaves alone what a person has put in an object's place, when somebody asks for a try now", async () => {
    const agent = startAgent();
    const { cluster, take, synced, reconciler } = agent;
    await take([bundle("off", [configMap("x"), configMap("y")])]);
    await synced("a");
    cluster.take(refOf("x"));
    cluster.put({ ...configMap("x", "theirs") });
    await settle(cluster);
    reconciler.trigger("a");
    await settle(cluster);
    expect(values(cluster)).toEqual({ x: "theirs", y: "1" });
  });

  it("ended by Git, what was done meanwhile is found and put back", async () => {
    const agent = startAgent();
    const objects = [configMap("x"), configMap("y")];
    await agent.take([bundle("off", objects)]);
    await agent.synced("a");
    edit(agent, "x");
    agent.cluster.take(refOf("y"));
    await settle(agent.cluster);
    await agent.take([bundle("report", objects)]);
    await vi.waitFor(() => expect(drifts(agent)).toEqual(["x modified", "y missing"]));
    expect(agent.bundle("a")).toMatchObject({ state: "OutOfSync", health: "NotFound" });
    await agent.take([bundle("correct", objects)]);
    await vi.waitFor(() => expect(values(agent.cluster)).toEqual({ x: "1", y: "1" }));
  });
});

describe("an object's own drift mode", () => {
  it.each<DriftMode>(["correct", "report", "off"])("wins over the bundle's, which is %s", async (mode) => {
    const agent = startAgent();
    await agent.take([bundle(mode, [said("c", "correct"), said("o", "off"), said("r", "report")])]);
    await agent.synced("a");
    for (const name of ["c", "o", "r"]) edit(agent, name);
    await vi.waitFor(() => expect(values(agent.cluster)).toEqual({ c: "1", o: "edited", r: "edited" }));
    await settle(agent.cluster);
    expect(drifts(agent)).toEqual(["r modified"]);
  });

  it("holds for a new process, which compares and does not write over", async () => {
    const first = startAgent();
    const { cluster } = first;
    const bundles = [bundle("correct", [said("c", "correct"), said("o", "off"), said("r", "report")])];
    await first.take(bundles);
    await vi.waitFor(async () => expect((await first.inventory()).applied.size).toBe(1));
    await settle(cluster);
    first.stop();
    for (const name of ["c", "o", "r"]) edit(first, name);
    const second = startAgent({ cluster });
    await second.take(bundles);
    await vi.waitFor(() => expect(values(cluster)).toEqual({ c: "1", o: "edited", r: "edited" }));
    await settle(cluster);
    expect(drifts(second)).toEqual(["r modified"]);
  });

  it("holds for a new process also where another object of the bundle never could be applied", async () => {
    const first = startAgent();
    const { cluster } = first;
    cluster.onCall = (call) => {
      if (call.verb === "apply" && call.ref.includes("_bad_")) throw new Error("no");
    };
    const bundles = [bundle("correct", [configMap("bad"), said("o", "off"), said("r", "report")])];
    await first.take(bundles);
    await vi.waitFor(() => expect(first.bundle("a")).toMatchObject({ state: "Failed" }));
    await settle(cluster);
    first.stop();
    for (const name of ["o", "r"]) edit(first, name);
    const second = startAgent({ cluster });
    await second.take(bundles);
    await vi.waitFor(() => expect(second.bundle("a")).toMatchObject({ failed: 1, drifted: 1 }));
    expect(values(cluster)).toEqual({ o: "edited", r: "edited" });
  });

  it("that is misspelt is told with its code, and drift is reported: neither written over nor hidden", async () => {
    const agent = startAgent();
    await agent.take([bundle("correct", [said("x", "of"), configMap("y")])]);
    await agent.synced("a");
    expect(agent.bundle("a")).toMatchObject({ state: "Synced", reason: "DRIFT_MODE_INVALID", message: expect.stringContaining("“of”") });
    expect(drifts(agent)).toEqual(["x DRIFT_MODE_INVALID"]);
    edit(agent, "x");
    await vi.waitFor(() => expect(agent.bundle("a")).toMatchObject({ state: "OutOfSync", drifted: 1 }));
    await settle(agent.cluster);
    expect(values(agent.cluster)).toEqual({ x: "edited", y: "1" });
    await agent.take([bundle("correct", [said("x", "off"), configMap("y")])]);
    await vi.waitFor(() => expect(values(agent.cluster)).toEqual({ x: "1", y: "1" }));
    await agent.synced("a");
    expect(agent.bundle("a")).not.toHaveProperty("reason");
  });
});

describe("drift that was there before an agent started", () => {
  it.each([
    ["with a look at each", 1],
    ["with one list", 10],
  ])("is told in mode report, though somebody writes while it is compared (%s)", async (_, count) => {
    const first = startAgent();
    const { cluster } = first;
    const bundles = [bundle("report", [configMap("x"), ...Array.from({ length: count - 1 }, (_, index) => configMap(`y${index}`))])];
    await first.take(bundles);
    await vi.waitFor(async () => expect((await first.inventory()).applied.size).toBe(1));
    await settle(cluster);
    first.stop();
    edit(first, "x");
    // Between the look and the dry run: its answer is newer than what it is compared with, though the drift is the same.
    let isTouched = false;
    cluster.onCall = ({ ref, dryRun }) => {
      if (!dryRun || ref !== refOf("x") || isTouched) return;
      isTouched = true;
      const live = cluster.objects.get(ref)!;
      cluster.put({ ...live, metadata: { ...live.metadata, annotations: { "example.com/touched": "yes" } } });
    };
    const second = startAgent({ cluster });
    await second.take(bundles);
    await vi.waitFor(() => expect(drifts(second)).toEqual(["x modified"]));
    await settle(cluster);
    expect([isTouched, drifts(second)]).toEqual([true, ["x modified"]]);
    expect(second.bundle("a")).toMatchObject({ state: "OutOfSync", drifted: 1 });
    expect(values(cluster)["x"]).toBe("edited");
  });
});
