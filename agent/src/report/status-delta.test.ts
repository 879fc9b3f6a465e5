import { type ClusterReport, formatObjectRef, type ObjectException, parseObjectRef, type ReportedEvent } from "@muster/shared/model";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Status, statusDelta, type Told } from "./status-delta.ts";

const facts = { agentVersion: "0.1.0", kubernetesVersion: "v1.36.0", apiVersions: ["v1"], clusterScopedKinds: ["/Namespace"] };
const exception = (name: string, message = ""): ObjectException => ({
  ref: { group: "", kind: "ConfigMap", namespace: "web", name },
  bundle: "a",
  health: "InProgress",
  message,
});
const event = (message: string): ReportedEvent => ({ at: "2026-01-01T00:00:00Z", type: "DriftDetected", message });
const status = (more: Partial<Status> = {}): Status => ({ facts, cluster: { bundles: [] }, exceptions: [], seen: [], events: [], ...more });

/** What a hub makes of messages. */
function replay(known: Map<string, string>, messages: NonNullable<ReturnType<typeof statusDelta>>["messages"]): void {
  let continued = false;
  for (const message of messages) {
    if (message.full && !continued) known.clear();
    continued = message.more ?? false;
    for (const ref of message.cleared ?? []) known.delete(formatObjectRef(ref as ObjectException["ref"]));
    for (const told of message.exceptions ?? []) known.set(formatObjectRef(told.ref as ObjectException["ref"]), told.message ?? "");
  }
}

describe("status messages", () => {
  it("the first is full, then only what changed is told, and nothing if nothing did", () => {
    const first = statusDelta(status({ exceptions: [exception("x"), exception("y")] }), undefined)!;
    expect(first.messages).toMatchObject([{ full: true, more: false, facts: { agentVersion: "0.1.0" }, exceptions: [{}, {}] }]);
    expect(statusDelta(status({ exceptions: [exception("x"), exception("y")] }), first.told)).toBeUndefined();
    const [message] = statusDelta(status({ exceptions: [exception("x", "new")] }), first.told)!.messages;
    expect(message).toMatchObject({ full: false, exceptions: [{ ref: { name: "x" } }], cleared: [{ name: "y" }] });
    expect([message?.facts, message?.cluster]).toEqual([undefined, undefined]);
  });

  it("drift that was corrected before it could be told is told all the same, and cleared by the next message", () => {
    const first = statusDelta(status(), undefined)!;
    const second = statusDelta(status({ seen: [exception("x")], events: [event("x is modified")] }), first.told)!;
    expect(second.messages).toMatchObject([{ exceptions: [{ ref: { name: "x" } }], events: [{ message: "x is modified" }] }]);
    expect(statusDelta(status(), second.told)?.messages).toMatchObject([{ cleared: [{ name: "x" }] }]);
  });

  it("E247: pages stay below 256 KiB, however much there is to tell", () => {
    const exceptions = Array.from({ length: 3_000 }, (_, index) => exception(`m${index}`, "é".repeat(900)));
    const { messages } = statusDelta(
      status({ exceptions, events: Array.from({ length: 500 }, () => event("e".repeat(2_000))) }),
      undefined,
    )!;
    for (const message of messages) expect(Buffer.byteLength(JSON.stringify(message))).toBeLessThan(300 * 1024);
    expect(messages.flatMap((message) => message.exceptions ?? [])).toHaveLength(3_000);
    expect(messages.flatMap((message) => message.events ?? [])).toHaveLength(500);
    expect(messages.map((message) => message.more)).toEqual([...messages.slice(1).map(() => true), false]);
    expect(messages.map((message) => message.full)).toEqual(messages.map(() => true));
  });

  it("E240, E241: a hub that follows the messages knows just the state, whatever happened and whenever it was full", () => {
    const names = ["a", "b", "c", "d"];
    const step = fc.record({
      state: fc.dictionary(fc.constantFrom(...names), fc.constantFrom("", "1", "2")),
      resync: fc.boolean(),
      seen: fc.option(fc.constantFrom(...names)),
    });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const known = new Map<string, string>();
        let told: Told | undefined;
        const tell = (state: Record<string, string>, seen: readonly ObjectException[]) => {
          const exceptions = Object.entries(state).map(([name, message]) => exception(name, message));
          const delta = statusDelta(status({ exceptions, seen }), told);
          if (!delta) return;
          replay(known, delta.messages);
          told = delta.told;
        };
        for (const { state, resync, seen } of steps) {
          if (resync) told = undefined;
          if (seen) tell(state, [exception(seen, "seen")]);
          tell(state, []);
          expect(Object.fromEntries([...known].map(([ref, message]) => [parseObjectRef(ref).name, message]))).toEqual(state);
        }
      }),
    );
  });

  it("the report of the cluster goes along when it changed", () => {
    const report = (generation: number): ClusterReport => ({ seen: { epoch: 1, generation }, bundles: [] });
    const first = statusDelta(status({ cluster: report(1) }), undefined)!;
    expect(statusDelta(status({ cluster: report(1) }), first.told)).toBeUndefined();
    expect(statusDelta(status({ cluster: report(2) }), first.told)?.messages).toMatchObject([{ cluster: { seen: { generation: 2 } } }]);
  });
});
