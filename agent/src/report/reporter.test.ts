import type { ObjectException, ReportedEvent } from "@muster/shared/model";
import type { AgentMessage, HubMessage__Output } from "@muster/shared/rpc";
import { systemClock } from "@muster/shared/runtime";
import { silentLogger } from "@muster/shared/telemetry";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { HubStream } from "./hub-stream.ts";
import { createReporter } from "./reporter.ts";

let stop = new AbortController();
afterEach(() => stop.abort());

/** The hub's end of a stream. */
class FakeStream implements HubStream {
  readonly sent: AgentMessage[] = [];
  full = false;
  closed = false;
  #hear: (message: HubMessage__Output) => void = () => {};
  #end: (error: Error) => void = () => {};
  #drain: () => void = () => {};
  write(message: AgentMessage): boolean {
    this.sent.push(message);
    return !this.full;
  }
  onMessage(listener: (message: HubMessage__Output) => void): void {
    this.#hear = listener;
  }
  onEnd(listener: (error: Error) => void): void {
    this.#end = listener;
  }
  onDrain(listener: () => void): void {
    this.#drain = listener;
  }
  close(): void {
    this.closed = true;
  }
  say(message: HubMessage__Output): void {
    this.#hear(message);
  }
  welcome(heartbeatIntervalMs = 10_000): void {
    this.say({ welcome: { hubVersion: "1", heartbeatIntervalMs } });
  }
  fail(): void {
    this.#end(new Error("connection reset"));
  }
  drain(): void {
    this.full = false;
    this.#drain();
  }
  get statuses() {
    return this.sent.flatMap((message) => message.status ?? []);
  }
  get events(): (string | undefined)[] {
    return this.statuses.flatMap((status) => status.events ?? []).map((event) => event.message);
  }
}

function setUp() {
  stop = new AbortController();
  const streams: FakeStream[] = [];
  const heard: string[] = [];
  let exceptions: ObjectException[] = [];
  const reporter = createReporter({
    open: async () => {
      const stream = new FakeStream();
      streams.push(stream);
      return stream;
    },
    source: {
      facts: () => ({ agentVersion: "1", kubernetesVersion: "1", apiVersions: [], clusterScopedKinds: [] }),
      highWater: () => ({ epoch: 2, generation: 7 }),
      cluster: () => ({ bundles: [] }),
      exceptions: () => exceptions,
    },
    commands: {
      reconcile: (bundle) => void heard.push(`reconcile ${bundle}`),
      sliceHint: () => void heard.push("hint"),
      rotate: () => void heard.push("rotate"),
      inspect: ({ bundle, ref }) => {
        heard.push(`inspect ${bundle} ${ref?.name}`);
        return [{ ...exception("x"), uid: "u", lastAction: "created" }];
      },
    },
    instance: "i",
    clock: systemClock,
    random: () => 0,
    logger: silentLogger(),
  });
  void reporter.run(stop.signal);
  const stream = (index: number) =>
    vi.waitFor(() => expect(streams[index]?.sent.length).toBeGreaterThan(0), { timeout: 3_000 }).then(() => streams[index]!);
  const show = (...list: ObjectException[]) => {
    exceptions = list;
  };
  return { reporter, stream, streams, heard, show };
}
const exception = (name: string): ObjectException => ({
  ref: { group: "", kind: "ConfigMap", namespace: "web", name },
  bundle: "a",
  health: "Current",
});
const event = (message: string): ReportedEvent => ({ at: "", type: "T", message });

describe("reporting", () => {
  it("D7: says Hello with its high-water mark, and nothing else before the hub's Welcome", async () => {
    const { stream, reporter } = setUp();
    const hub = await stream(0);
    reporter.event(event("one"));
    expect(hub.sent).toMatchObject([{ sequence: 1, hello: { instance: "i", highWater: { epoch: 2, generation: 7 } } }]);
    expect(reporter.connected).toBe(false);
    hub.welcome();
    await vi.waitFor(() =>
      expect(hub.sent).toMatchObject([{ sequence: 1 }, { sequence: 2, status: { full: true, events: [{ message: "one" }] } }]),
    );
    expect(reporter.connected).toBe(true);
  });

  it("E240: everything is told again on a new stream, and when the hub asks", async () => {
    const { stream, reporter, show } = setUp();
    show(exception("x"));
    const first = await stream(0);
    first.welcome();
    await vi.waitFor(() => expect(first.statuses).toHaveLength(1));
    first.say({ resync: {} });
    await vi.waitFor(() => expect(first.statuses).toMatchObject([{ full: true }, { full: true, exceptions: [{ ref: { name: "x" } }] }]));
    first.fail();
    const second = await stream(1);
    expect(first.closed).toBe(true);
    second.welcome();
    await vi.waitFor(() => expect(second.statuses).toMatchObject([{ full: true, exceptions: [{ ref: { name: "x" } }] }]));
    expect(reporter.connected).toBe(true);
  });

  it("E241: events that the hub has not acknowledged are told again, acknowledged ones are not", async () => {
    const { stream, reporter } = setUp();
    const first = await stream(0);
    first.welcome();
    reporter.event(event("one"));
    await vi.waitFor(() => expect(first.events).toEqual(["one"]));
    first.say({ ack: { sequence: first.sent.at(-1)?.sequence as number } });
    reporter.event(event("two"));
    await vi.waitFor(() => expect(first.events).toEqual(["one", "two"]));
    first.fail();
    reporter.event(event("three"));
    const second = await stream(1);
    second.welcome();
    await vi.waitFor(() => expect(second.events).toEqual(["two", "three"]));
  });

  it("drift that is over already is shown once and cleared", async () => {
    const { stream, reporter } = setUp();
    const hub = await stream(0);
    hub.welcome();
    await vi.waitFor(() => expect(hub.statuses).toHaveLength(1));
    reporter.seen(exception("x"));
    await vi.waitFor(() =>
      expect(hub.statuses).toMatchObject([{}, { exceptions: [{ ref: { name: "x" } }] }, { exceptions: [], cleared: [{ name: "x" }] }]),
    );
  });

  it("E246: while the hub is slow nothing piles up; then the latest is told", async () => {
    const { stream, reporter, show } = setUp();
    const hub = await stream(0);
    hub.full = true;
    hub.welcome();
    await vi.waitFor(() => expect(hub.statuses).toHaveLength(1));
    for (let count = 0; count < 50; count++) {
      show(exception(`m${count}`));
      reporter.notify();
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (let count = 0; count < 900; count++) reporter.event(event(String(count)));
    expect(hub.statuses).toHaveLength(1);
    hub.drain();
    await vi.waitFor(() => expect(hub.statuses).toHaveLength(2));
    expect(hub.statuses[1]?.exceptions).toMatchObject([{ ref: { name: "m49" } }]);
    expect(hub.events).toHaveLength(500);
  });

  it("E246: everybody who waited for a slow hub goes on: status, heartbeats and answers", async () => {
    const { stream, reporter, show } = setUp();
    const hub = await stream(0);
    hub.welcome(200);
    await vi.waitFor(() => expect(hub.statuses).toHaveLength(1));
    hub.full = true;
    show(exception("x"));
    reporter.notify();
    await vi.waitFor(() => {
      expect(hub.statuses).toHaveLength(2);
      expect(hub.sent.some((message) => message.heartbeat)).toBe(true);
    });
    const beats = () => hub.sent.filter((message) => message.heartbeat).length;
    const before = beats();
    hub.drain();
    show(exception("y"));
    reporter.notify();
    await vi.waitFor(() => {
      expect(hub.statuses).toHaveLength(3);
      expect(beats()).toBeGreaterThan(before);
    });
  });

  it("E242: a hub that falls silent is left and connected to anew", async () => {
    const { stream } = setUp();
    const first = await stream(0);
    first.welcome(50);
    await vi.waitFor(() => expect(first.sent.filter((message) => message.heartbeat).length).toBeGreaterThan(0));
    const second = await stream(1);
    expect(first.closed).toBe(true);
    expect(second.sent[0]?.hello).toBeDefined();
  });

  it("does what the hub asks for", async () => {
    const { stream, heard } = setUp();
    const hub = await stream(0);
    hub.welcome();
    hub.say({ sliceHint: { generation: null } });
    hub.say({ reconcile: { id: "1", bundle: "a" } });
    hub.say({ reconcile: { id: "2", bundle: "" } });
    hub.say({ inspect: { id: "3", bundle: "a", ref: null } });
    expect(heard).toEqual(["hint", "reconcile a", "reconcile undefined", "inspect a undefined"]);
    await vi.waitFor(() =>
      expect(hub.sent.flatMap((message) => message.inspectResult ?? [])).toMatchObject([
        { id: "3", objects: [{ ref: { name: "x" }, uid: "u", lastAction: "created" }] },
      ]),
    );
  });
});
