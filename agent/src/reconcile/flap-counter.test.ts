import { Health, type Manifest } from "@muster/shared/model";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ManualClock } from "../../../test/rig/manual-clock.ts";
import { configMap } from "../pull/testing/slice-maker.ts";
import { FlapCounter } from "./flap-counter.ts";
import { startAgent, stopAgents } from "./testing/fake-agent.ts";

afterEach(stopAgents);

const REF = "default_x__ConfigMap" as const;
const ONE = "sha256:1" as const;

describe("E138: health that goes back and forth", () => {
  function flap(counter: FlapCounter, times: number, digest: `sha256:${string}` = ONE): boolean[] {
    return Array.from({ length: times }, () => {
      counter.note({ ref: REF, health: Health.Current }, digest);
      return counter.note({ ref: REF, health: Health.InProgress }, digest);
    });
  }

  it("is told once, with how often, and again only after a time of calm", async () => {
    const clock = new ManualClock();
    const counter = new FlapCounter(clock);
    expect(flap(counter, 6)).toEqual([false, false, false, true, false, false]);
    expect(counter.count(REF)).toBe(6);
    await clock.advance(11 * 60_000);
    expect(counter.count(REF)).toBe(0);
    expect(flap(counter, 4)).toEqual([false, false, false, true]);
  });

  it("is none while an object comes up, whatever it goes through, nor when new revisions make it begin anew", () => {
    const counter = new FlapCounter(new ManualClock());
    for (const health of [Health.Unknown, Health.InProgress, Health.Failed, Health.InProgress, Health.Failed])
      expect(counter.note({ ref: REF, health }, ONE)).toBe(false);
    for (let revision = 0; revision < 10; revision++) expect(flap(counter, 1, `sha256:${revision}`)).toEqual([false]);
    expect(counter.count(REF)).toBe(0);
  });

  it("takes bounded memory, however many objects there are", () => {
    const counter = new FlapCounter(new ManualClock());
    flap(counter, 4);
    for (let index = 0; index < 2_000; index++) counter.note({ ref: `default_${index}__ConfigMap`, health: Health.Current }, ONE);
    // Forgotten: it has to begin anew.
    expect(flap(counter, 4)).toEqual([false, false, false, true]);
  });

  it("stands in the events, and in what is said of the object", async () => {
    const agent = startAgent();
    await agent.take([
      { name: "a", objects: [configMap("x")], options: { health: [{ group: "", kind: "ConfigMap", current: "object.status.ok" }] } },
    ]);
    await agent.synced("a");
    for (const ok of [true, false, true, false, true, false, true, false, true, false]) {
      const known = [...agent.cluster.objects.values()].find((one) => one.metadata.name === "x");
      agent.cluster.put({ ...known, status: { ok } } as Manifest);
      await vi.waitFor(() => expect(agent.bundle("a")).toMatchObject({ health: ok ? "Current" : "InProgress" }));
    }
    expect(agent.told.filter((event) => event.type === "Flapping")).toMatchObject([
      {
        bundle: "a",
        object: { name: "x" },
        message: expect.stringMatching(/ConfigMap .*x has stopped being healthy 4 times in 10 minutes; now it is InProgress/),
      },
    ]);
    expect(agent.reconciler.exceptions()).toMatchObject([{ message: expect.stringContaining("5 times") }]);
  });
});
