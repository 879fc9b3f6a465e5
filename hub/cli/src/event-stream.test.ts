import { describe, expect, it } from "vitest";
import { parseEvents } from "./event-stream.ts";

async function parsed(...chunks: string[]): Promise<unknown[]> {
  const encoder = new TextEncoder();
  const stream = ReadableStream.from(chunks.map((chunk) => encoder.encode(chunk)));
  const events: unknown[] = [];
  for await (const event of parseEvents(stream as ReadableStream<Uint8Array>)) events.push(event);
  return events;
}

describe("event streams", () => {
  it("give the same events wherever the bytes are cut", async () => {
    const text = ': watching\n\nid: 1\nevent: cluster\ndata: {"kind":"cluster"}\n\nevent: event\r\ndata: é\r\ndata:b\r\n\r\n';
    const events = [
      { event: "cluster", data: '{"kind":"cluster"}' },
      { event: "event", data: "é\nb" },
    ];
    expect(await parsed(text)).toEqual(events);
    expect(await parsed(...text)).toEqual(events);
  });

  it("an event that is cut off by the end is none", async () => {
    expect(await parsed("data: a\n\ndata: b\n")).toEqual([{ event: "message", data: "a" }]);
  });
});
