import { Health, type ObjectException } from "@muster/shared/model";
import { describe, expect, it } from "vitest";
import { ExceptionStore } from "./exception-store.ts";
import { connect, createSampleStatus, report, result, update } from "./testing/sample-status.ts";

const MIB = 1024 * 1024;
const failed = (index: number, message = "no", more: Partial<ObjectException> = {}): ObjectException => ({
  ref: { group: "", kind: "ConfigMap", namespace: "a", name: `m${index}` },
  bundle: "web",
  health: Health.Failed,
  code: "KUBE_DENIED",
  message,
  ...more,
});
const long = "é".repeat(7_000);

describe("I11: what is kept of one cluster's exceptions", () => {
  it("is at most 8 MiB, however long they are; the rest is counted", () => {
    const store = new ExceptionStore();
    for (let index = 0; index < 10_000; index += 1) store.put(failed(index, long), 0);
    expect(store.bytes).toBeLessThanOrEqual(8 * MIB);
    expect(store.bytes).toBeGreaterThan(7 * MIB);
    expect(store.size + store.leftOut).toBe(10_000);
  });

  it("is at most 10,000 objects, however short they are", () => {
    const store = new ExceptionStore();
    for (let index = 0; index < 10_007; index += 1) store.put(failed(index), 0);
    expect([store.size, store.leftOut]).toEqual([10_000, 7]);
  });

  it("makes room for others when it goes, and counts only what it holds", () => {
    const store = new ExceptionStore();
    for (let index = 0; index < 1_000; index += 1) store.put(failed(index, long), 0);
    const { size, leftOut } = store;
    for (let index = 0; index < 1_000; index += 1) store.delete(failed(index).ref);
    expect([store.size, store.leftOut, store.bytes]).toEqual([0, 0, 0]);
    expect(size + leftOut).toBe(1_000);
    store.put(failed(1, long), 0);
    expect(store.size).toBe(1);
  });

  it("is what was told last: what has grown beyond the room is not kept as it was", () => {
    const store = new ExceptionStore();
    store.put(failed(1, "old"), 5);
    store.put(failed(1, "new"), 5);
    expect([...store.values()]).toMatchObject([{ exception: failed(1, "new"), sinceMs: 5 }]);
    store.put(failed(1, "x".repeat(9 * MIB)), 5);
    expect([store.size, store.leftOut, store.bytes]).toEqual([0, 1, 0]);
  });

  it("is told of its cluster, so that nobody takes the list for all of it", () => {
    const { status } = createSampleStatus();
    status.record(result(["one"]));
    const exceptions = Array.from({ length: 2_000 }, (_, index) => failed(index, long, { drift: { kind: "modified", paths: [] } }));
    connect(status, "one", update({ restart: true, report: report({ drifted: 2_000 }), exceptions }));
    const shown = status.drift().length;
    expect(shown).toBeLessThan(2_000);
    expect(status.cluster("one")?.conditions.find(({ type }) => type === "ExceptionsCut")).toMatchObject({
      message: expect.stringContaining(`about ${2_000 - shown} more`),
    });
    status.status("one", update({ restart: true, report: report() }));
    expect(status.cluster("one")?.conditions).toEqual([]);
  });
});
