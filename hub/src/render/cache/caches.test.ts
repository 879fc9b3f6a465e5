import { describe, expect, it } from "vitest";
import { ByteLru } from "./byte-lru.ts";
import { SharedWork } from "./shared-work.ts";
import { Slots } from "./slots.ts";
import { WeakValues } from "./weak-values.ts";

describe("byte-bounded cache", () => {
  it("forgets what was not used for longest, never more than needed", () => {
    const cache = new ByteLru<number>(100);
    for (const [index, key] of ["a", "b", "c"].entries()) cache.set(key, index, 33);
    cache.get("a");
    cache.set("d", 3, 20);
    expect(["a", "b", "c", "d"].map((key) => cache.get(key))).toEqual([0, undefined, 2, 3]);
    expect(cache.bytes).toBe(86);
  });
  it("does not keep what is larger than itself, nor an old value under its key", () => {
    const cache = new ByteLru<number>(100);
    cache.set("a", 1, 10);
    cache.set("a", 2, 101);
    expect([cache.get("a"), cache.bytes, cache.size]).toEqual([undefined, 0, 0]);
  });
});

describe("shared work", () => {
  it("a thousand concurrent callers share one run", async () => {
    const work = new SharedWork<number>();
    const gate = Promise.withResolvers<number>();
    let runs = 0;
    const results = Array.from({ length: 1_000 }, () =>
      work.run("k", async () => {
        runs += 1;
        return await gate.promise;
      }),
    );
    gate.resolve(7);
    expect(new Set(await Promise.all(results))).toEqual(new Set([7]));
    expect(runs).toBe(1);
  });
  it("one caller that gives up does not take the result from the others", async () => {
    const work = new SharedWork<number>();
    const gate = Promise.withResolvers<number>();
    const controller = new AbortController();
    let aborted = false;
    const run = async (signal: AbortSignal) => {
      signal.addEventListener("abort", () => (aborted = true));
      return await gate.promise;
    };
    const leaving = work.run("k", run, controller.signal);
    const staying = work.run("k", run);
    controller.abort(new Error("gone"));
    await expect(leaving).rejects.toThrow("gone");
    expect(aborted).toBe(false);
    gate.resolve(1);
    expect(await staying).toBe(1);
  });
  it("when all callers are gone the run is aborted, and the next caller gets a new one", async () => {
    const work = new SharedWork<string>();
    const controller = new AbortController();
    const signals: AbortSignal[] = [];
    const hang = (signal: AbortSignal) => {
      signals.push(signal);
      return new Promise<string>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    };
    const leaving = work.run("k", hang, controller.signal);
    controller.abort(new Error("gone"));
    await expect(leaving).rejects.toThrow("gone");
    expect(signals[0]?.aborted).toBe(true);
    expect(await work.run("k", async () => "new")).toBe("new");
  });
  it("a failure reaches every caller and is not kept", async () => {
    const work = new SharedWork<number>();
    const fail = async () => {
      throw new Error("no");
    };
    await Promise.all([1, 2].map(() => expect(work.run("k", fail)).rejects.toThrow("no")));
    expect(await work.run("k", async () => 1)).toBe(1);
  });
});

describe("slots", () => {
  it("never more tasks than slots, in the order of their coming, and an aborted wait takes none", async () => {
    const slots = new Slots(1);
    const order: string[] = [];
    const gate = Promise.withResolvers<void>();
    const never = new AbortController().signal;
    const controller = new AbortController();
    const first = slots.run(async () => {
      order.push("first");
      await gate.promise;
    }, never);
    const aborted = slots.run(async () => void order.push("aborted"), controller.signal);
    const second = slots.run(async () => void order.push("second"), never);
    controller.abort(new Error("stop"));
    await expect(aborted).rejects.toThrow("stop");
    gate.resolve();
    await Promise.all([first, second]);
    expect(order).toEqual(["first", "second"]);
  });
  it("a task that fails frees its slot", async () => {
    const slots = new Slots(1);
    const { signal } = new AbortController();
    await expect(slots.run(() => Promise.reject(new Error("no")), signal)).rejects.toThrow("no");
    expect(await slots.run(async () => 1, signal)).toBe(1);
  });
});

describe("weak values", () => {
  it("gives back what somebody holds", () => {
    const values = new WeakValues<object>();
    const held = Array.from({ length: 100 }, (_, index) => ({ index }));
    for (const [index, value] of held.entries()) values.set(String(index), value);
    expect(held.every((value, index) => values.get(String(index)) === value)).toBe(true);
  });
});
