import type { HubMessage } from "@muster/shared/rpc";
import { describe, expect, it } from "vitest";
import { Outbox } from "./outbox.ts";

/** A stream that takes `room` messages and then is full until it drains. */
function createSink(room = Number.POSITIVE_INFINITY) {
  const written: HubMessage[] = [];
  const listeners: (() => void)[] = [];
  let left = room;
  return {
    written,
    write(message: HubMessage) {
      written.push(message);
      left -= 1;
      return left > 0;
    },
    on: (_: "drain", listener: () => void) => listeners.push(listener),
    drain(more = Number.POSITIVE_INFINITY) {
      left = more;
      for (const listener of listeners) listener();
    },
  };
}
const reconcile = (id: string): HubMessage => ({ reconcile: { id, bundle: "" } });
const hintOf = (generation: number): HubMessage => ({ sliceHint: { generation: { epoch: 1, generation } } });

describe("an outbox", () => {
  it("writes at once what a stream can take", () => {
    const sink = createSink();
    const outbox = new Outbox(sink);
    outbox.ack(1);
    outbox.hint({ epoch: 1, generation: 2 });
    outbox.heartbeat(3);
    outbox.command(reconcile("x"));
    expect(sink.written).toEqual([{ ack: { sequence: 1 } }, hintOf(2), { heartbeat: { sentAtMs: 3 } }, reconcile("x")]);
  });

  it("E246: of an agent that does not read keeps one ack, one hint and 32 commands, however much is said", () => {
    const sink = createSink(1);
    const outbox = new Outbox(sink);
    outbox.ack(0);
    for (let index = 1; index <= 10_000; index += 1) {
      outbox.ack(index);
      outbox.hint({ epoch: 1, generation: index });
      outbox.heartbeat(index);
    }
    const taken = Array.from({ length: 100 }, (_, index) => outbox.command(reconcile(`${index}`))).filter(Boolean);
    expect([sink.written.length, taken.length]).toEqual([1, 32]);
    sink.drain();
    expect(sink.written.slice(1)).toEqual([
      ...Array.from({ length: 32 }, (_, index) => reconcile(`${index}`)),
      hintOf(10_000),
      { ack: { sequence: 10_000 } },
    ]);
  });

  it("goes on where it was each time the stream drains, and takes commands again", () => {
    const sink = createSink(1);
    const outbox = new Outbox(sink);
    for (const id of ["a", "b", "c"]) outbox.command(reconcile(id));
    expect(sink.written).toEqual([reconcile("a")]);
    sink.drain(1);
    expect(sink.written).toEqual([reconcile("a"), reconcile("b")]);
    sink.drain();
    expect(outbox.command(reconcile("d"))).toBe(true);
    expect(sink.written).toEqual(["a", "b", "c", "d"].map(reconcile));
  });
});
