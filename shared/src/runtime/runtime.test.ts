import { describe, expect, it } from "vitest";
import { silentLogger } from "../telemetry/index.ts";
import { createBackoff, jitter } from "./backoff.ts";
import { createFailpoints } from "./failpoint.ts";
import { createLifecycle } from "./lifecycle.ts";
import { forEachLimited, Wakeup } from "./signal.ts";

describe("backoff", () => {
  it("grows to its bound, never beyond, and starts over after a reset", () => {
    const backoff = createBackoff({ initialMs: 100, maxMs: 1_000, random: () => 1 });
    expect([1, 2, 3, 4, 5, 6].map(() => backoff.next())).toEqual([100, 200, 400, 800, 1_000, 1_000]);
    backoff.reset();
    expect(backoff.next()).toBe(100);
  });
  it("never waits less than half of its bound, so a storm is spread but not dense", () => {
    expect(createBackoff({ initialMs: 100, random: () => 0 }).next()).toBe(50);
    expect(jitter(1_000, () => 0)).toBe(900);
    expect(jitter(1_000, () => 1)).toBe(1_100);
  });
});

describe("wake-ups", () => {
  it("E136: a wake before the wait is not lost", async () => {
    const wakeup = new Wakeup();
    wakeup.wake();
    expect(await wakeup.wait(undefined)).toBe(true);
    expect(await wakeup.wait(1)).toBe(false);
  });
  it("an abort ends the wait", async () => {
    const controller = new AbortController();
    const waiting = new Wakeup().wait(undefined, controller.signal);
    controller.abort();
    expect(await waiting).toBe(false);
  });
});

describe("limited concurrency", () => {
  it("never runs more than the limit, and runs everything", async () => {
    let running = 0;
    let most = 0;
    let done = 0;
    await forEachLimited(Array.from({ length: 20 }), 3, async () => {
      most = Math.max(most, ++running);
      await Promise.resolve();
      running--;
      done++;
    });
    expect([most, done]).toEqual([3, 20]);
  });
  it("reports the first failure after everything running has ended", async () => {
    let finished = 0;
    const run = forEachLimited([1, 2], 2, async (item) => {
      if (item === 1) throw new Error("one");
      await new Promise((resolve) => setTimeout(resolve, 5));
      finished++;
    });
    await expect(run).rejects.toThrow("one");
    expect(finished).toBe(1);
  });
});

describe("lifecycle", () => {
  it("stops parts in reverse order, even if one of them throws or hangs", async () => {
    const order: string[] = [];
    const lifecycle = createLifecycle({ logger: silentLogger(), timeoutMs: 10 });
    lifecycle.onStop("first", () => void order.push("first"));
    lifecycle.onStop("hangs", () => new Promise<void>(() => {}));
    lifecycle.onStop("throws", () => {
      order.push("throws");
      throw new Error("no");
    });
    await lifecycle.stop();
    expect(order).toEqual(["throws", "first"]);
    expect(lifecycle.signal.aborted).toBe(true);
  });
  it("a loop that throws ends the process instead of leaving it half alive", async () => {
    const exit = Promise.withResolvers<number>();
    const lifecycle = createLifecycle({ logger: silentLogger(), exit: exit.resolve });
    lifecycle.run("loop", Promise.reject(new Error("broken")));
    expect(await exit.promise).toBe(1);
  });
});

describe("failpoints", () => {
  it("do nothing unless named, and act at just the passing that was asked for", () => {
    createFailpoints(undefined)("agent.any");
    const point = createFailpoints("agent.afterApply=throw@2");
    point("agent.other");
    point("agent.afterApply");
    expect(() => point("agent.afterApply")).toThrow("failpoint agent.afterApply");
    point("agent.afterApply");
  });
  it("a specification that cannot be read is an error, not ignored", () => {
    for (const wrong of ["agent.x=explode", "agent.x", "=exit", "agent.x=exit@", "a>b>c=exit", "agent.x=sleep"])
      expect(() => createFailpoints(wrong)).toThrow(RangeError);
  });
  it("can kill, stop, end and block the process, at just the passing that was asked for", () => {
    const done: string[] = [];
    const effects = {
      exit: (code: number) => void done.push(`exit ${code}`),
      signal: (name: string) => void done.push(name),
      block: (ms: number) => void done.push(`block ${ms}`),
    };
    const point = createFailpoints("a=kill@2,b=exit,c=stop,d=sleep:50,e=hang", effects);
    for (const name of ["a", "b", "c", "d", "e", "a", "b", "a"]) point(name);
    expect(done).toEqual(["exit 137", "SIGSTOP", "block 50", "block Infinity", "SIGKILL"]);
  });
  it("count from another point on, if asked to", () => {
    const point = createFailpoints("start>a=throw@2");
    point("a");
    point("a");
    point("start");
    point("a");
    expect(() => point("a")).toThrow("failpoint a");
  });
  it("say all that is passed, and go on", () => {
    const lines: string[] = [];
    const point = createFailpoints("*=note", { note: (line) => void lines.push(line) });
    point("a");
    point("b");
    point("a");
    expect(lines).toEqual(["failpoint a", "failpoint b", "failpoint a"]);
  });
});
