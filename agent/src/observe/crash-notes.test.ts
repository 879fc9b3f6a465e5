import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { silentLogger } from "@muster/shared/telemetry";
import { afterEach, describe, expect, it } from "vitest";
import { ManualClock } from "../../../test/rig/manual-clock.ts";
import { createTempFolder } from "../../../test/rig/temp-folder.ts";
import { type CrashNotes, createCrashNotes } from "./crash-notes.ts";

const folders: ReturnType<typeof createTempFolder>[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove();
});

const { signal } = new AbortController();

/** Processes of one pod, one after the other; a process that is not closed has died. */
function newPod(clock = new ManualClock()) {
  const folder = createTempFolder("crash-notes");
  folders.push(folder);
  return {
    path: join(folder.path, "muster-agent-c1.json"),
    start: () => createCrashNotes({ folder: folder.path, cluster: "c1", clock, logger: silentLogger() }),
  };
}

/** Lives of processes that are at all of these, and die. */
async function die(pod: ReturnType<typeof newPod>, times: number, ...keys: readonly string[]): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    const notes = pod.start();
    // Where each is worked on alone, the first is never over.
    await Promise.race([Promise.all(keys.map((key) => notes.begin(key, key, signal))), new Promise(setImmediate)]);
  }
}

/** Begins something, and comes to its end; what ends together is noted together. */
async function finish(notes: CrashNotes, key: string, what = key): Promise<void> {
  (await notes.begin(key, what, signal))();
  await new Promise(setImmediate);
}

const isBegun = (begun: Promise<unknown>) => Promise.race([begun.then(() => true), new Promise((resolve) => setImmediate(resolve, false))]);

const SET_ASIDE = { code: "OBJECT_QUARANTINED", message: expect.stringContaining("ConfigMap web/x") };

describe("what processes die of", () => {
  it("E121: is set aside after three deaths in a row, and nothing else is", async () => {
    const pod = newPod();
    await die(pod, 3, "x");
    const notes = pod.start();
    await expect(notes.begin("x", "ConfigMap web/x", signal)).rejects.toMatchObject(SET_ASIDE);
    await finish(notes, "y", "ConfigMap web/y");
    await finish(notes, "x of another digest", "ConfigMap web/x");
  });

  it("E121: is found among all that was under way: at the third try each is alone, and what comes to its end is cleared", async () => {
    const pod = newPod();
    await die(pod, 2, "w", "x", "y");
    const third = pod.start();
    const [w, x, y] = ["w", "x", "y"].map((key) => third.begin(key, key, signal)) as [
      Promise<() => void>,
      Promise<() => void>,
      Promise<() => void>,
    ];
    (await w)();
    await x;
    expect(JSON.parse(readFileSync(pod.path, "utf8"))).toEqual({
      deaths: { x: { count: 2, atMs: 0 }, y: { count: 2, atMs: 0 } },
      underWay: ["x"],
    });
    expect(await isBegun(y)).toBe(false);
    const fourth = pod.start();
    await expect(fourth.begin("x", "ConfigMap web/x", signal)).rejects.toMatchObject(SET_ASIDE);
    for (const key of ["w", "y"]) await finish(fourth, key);
    await expect(fourth.begin("x", "ConfigMap web/x", signal)).rejects.toMatchObject(SET_ASIDE);
  });

  it("is forgotten when it is over once, when somebody asks for another try, and in a new pod", async () => {
    const pod = newPod();
    await die(pod, 2, "x");
    await finish(pod.start(), "x");
    await die(pod, 2, "x");
    await finish(pod.start(), "x");
    await die(pod, 3, "x");
    const notes = pod.start();
    notes.forgive();
    await finish(notes, "x");
    await die(pod, 3, "x");
    await finish(newPod().start(), "x");
  });

  it("is tried once more after half an hour, alone, and set aside again if that is the end of another process", async () => {
    const clock = new ManualClock();
    const pod = newPod(clock);
    await die(pod, 3, "x");
    const patient = pod.start();
    await clock.advance(1_799_000);
    await expect(patient.begin("x", "x", signal)).rejects.toMatchObject({ code: "OBJECT_QUARANTINED" });
    await clock.advance(2_000);
    const other = await patient.begin("other", "other", signal);
    const tried = patient.begin("x", "x", signal);
    expect(await isBegun(tried)).toBe(false);
    other();
    await tried;
    const next = pod.start();
    await expect(next.begin("x", "x", signal)).rejects.toMatchObject({ code: "OBJECT_QUARANTINED" });
    await clock.advance(1_801_000);
    await finish(next, "x");
    await finish(pod.start(), "x");
  });

  it("is worked on alone, and holds up nothing else where it is not worked on, or is given up while it waits", async () => {
    const pod = newPod();
    await die(pod, 2, "x");
    const notes = pod.start();
    const y = await notes.begin("y", "y", signal);
    const gone = new AbortController();
    const x = notes.begin("x", "x", gone.signal);
    const z = notes.begin("z", "z", signal);
    expect([await isBegun(x), await isBegun(z)]).toEqual([false, false]);
    gone.abort(new Error("a newer slice"));
    await expect(x).rejects.toThrow("a newer slice");
    (await z)();
    y();
    const alone = await notes.begin("x", "x", signal);
    const later = notes.begin("z", "z", signal);
    expect(await isBegun(later)).toBe(false);
    alone();
    (await later)();
  });

  it("is blamed for as long as any of those who are at the same thing is at it", async () => {
    const pod = newPod();
    for (let death = 0; death < 3; death += 1) {
      const notes = pod.start();
      const [watch, relist] = [notes.begin("list", "list", signal), notes.begin("list", "list", signal)];
      // Once it is suspected, one of them waits.
      if (death < 2) {
        (await watch)();
        await relist;
      } else await watch;
    }
    await expect(pod.start().begin("list", "ConfigMap web/x", signal)).rejects.toMatchObject(SET_ASIDE);
  });

  it("is blamed for half an hour at most, also where the clock was set back", async () => {
    const clock = new ManualClock(10_000_000_000);
    const pod = newPod(clock);
    await die(pod, 2, "x");
    await clock.advance(1_801_000);
    // The last of the two is found only now.
    await die(pod, 1, "x");
    await finish(pod.start(), "x");
    await die(pod, 3, "x");
    const before = createCrashNotes({ folder: dirname(pod.path), cluster: "c1", clock: new ManualClock(), logger: silentLogger() });
    await finish(before, "x");
  });

  it("is not what was under way when a process ended as it should, or had nothing to do any more", async () => {
    const pod = newPod();
    for (let time = 0; time < 3; time += 1) {
      const notes = pod.start();
      await finish(notes, "x");
    }
    for (let time = 0; time < 3; time += 1) {
      const notes = pod.start();
      await notes.begin("x", "x", signal);
      notes.close();
    }
    await finish(pod.start(), "x");
  });

  it("stops nobody where it cannot be noted, or the note is no note", async () => {
    const pod = newPod();
    for (const text of ["", "{", "[]", "null", '{"deaths":{"x":"many"},"underWay":7}']) {
      writeFileSync(pod.path, text);
      await finish(pod.start(), "x");
    }
    for (const folder of [undefined, join(pod.path, "nowhere")])
      await finish(createCrashNotes({ folder, cluster: "c1", clock: new ManualClock(), logger: silentLogger() }), "x");
    const other = newPod();
    mkdirSync(other.path);
    await finish(other.start(), "x");
  });
});
