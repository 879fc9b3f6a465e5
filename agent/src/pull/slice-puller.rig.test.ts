import { systemClock } from "@muster/shared/runtime";
import { silentLogger } from "@muster/shared/telemetry";
import { SLICE_STREAM, sliceSubject } from "@muster/shared/wire";
import { connect } from "nats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import { type NatsServer, startNatsServer } from "../../../test/rig/nats-server.ts";
import { startTcpFaultProxy } from "../../../test/rig/tcp-fault-proxy.ts";
import { createSlicePuller } from "./slice-puller.ts";
import { createPublisher, type Publisher } from "./testing/publisher.ts";
import { createSliceMaker } from "./testing/slice-maker.ts";

let nats: NatsServer;
let publisher: Publisher;
beforeAll(async () => {
  nats = await startNatsServer();
  publisher = await createPublisher(nats.url);
});
afterAll(async () => {
  await publisher?.close();
  await nats?.stop();
});

describe("pulling slices", () => {
  it("E203: what was published while the connection was lost is taken as soon as it is back, not after a time limit", async () => {
    const maker = createSliceMaker("one");
    const heard: string[] = [];
    const puller = createSlicePuller({
      cluster: "one",
      // Several servers may be named; one that is there is enough.
      url: `nats://127.0.0.1:1, ${nats.url}`,
      // No poll but those that are asked for.
      pollIntervalMs: 600_000,
      clock: systemClock,
      random: () => 0,
      logger: silentLogger(),
    });
    puller.onMessage((message) => heard.push(message));
    const stop = new AbortController();
    const running = puller.run(stop.signal);
    const first = maker.make([]);
    await publisher.publish(maker, first);
    await eventually(() => expect(heard).toContain(first.message));

    // Asked while nobody can answer, again and again, as a poll may be at any time.
    nats.pause();
    const second = maker.make([]);
    puller.poll();
    expect(puller.connected).toBe(true);
    await nats.kill();
    await eventually(() => expect(puller.connected).toBe(false));
    puller.poll();
    await nats.restart();
    // On a connection of its own, because the first one has to find back, too.
    const later = await createPublisher(nats.url);
    const started = performance.now();
    await later.publish(maker, second);
    await eventually(() => expect(heard).toContain(second.message), { timeoutMs: 15_000 });
    expect(puller.connected).toBe(true);
    // A request that nobody answers is given up after 5 s.
    expect(performance.now() - started).toBeLessThan(4_000);
    await later.close();
    stop.abort();
    await running;
  });

  it("E203: a connection that is open and dead is left after two polls without an answer, not after a minute", async () => {
    const proxy = await startTcpFaultProxy({ to: nats.port });
    const maker = createSliceMaker("half");
    const heard: string[] = [];
    const puller = createSlicePuller({
      cluster: "half",
      url: `nats://127.0.0.1:${proxy.port}`,
      pollIntervalMs: 300,
      clock: systemClock,
      random: () => 0,
      logger: silentLogger(),
    });
    puller.onMessage((message) => heard.push(message));
    const stop = new AbortController();
    const running = puller.run(stop.signal);
    await eventually(() => expect(puller.connected).toBe(true));
    expect(proxy.halfOpen("client")).toBe(1);
    const made = maker.make([]);
    await publisher.publish(maker, made);
    await eventually(() => expect(heard).toContain(made.message), { timeoutMs: 25_000 });
    stop.abort();
    await running;
    await proxy.stop();
  });

  it("S2: what another agent has JetStream answer to the subject of this cluster's slices is not taken for a new slice", async () => {
    const [mine, theirs] = [createSliceMaker("mine"), createSliceMaker("theirs")];
    const foreign = theirs.make([]);
    await publisher.publish(theirs, foreign);
    const heard: string[] = [];
    // It does not poll, as the stream of this server takes the answers too.
    const puller = createSlicePuller({
      cluster: "mine",
      url: nats.url,
      pollIntervalMs: 600_000,
      clock: systemClock,
      random: () => 0,
      logger: silentLogger(),
    });
    puller.onMessage((message) => heard.push(message));
    const stop = new AbortController();
    const running = puller.run(stop.signal);
    await eventually(() => expect(puller.connected).toBe(true));
    const first = mine.make([]);
    await publisher.publish(mine, first);
    await eventually(() => expect(heard).toContain(first.message));

    const other = await connect({ servers: nats.url });
    const { streams } = await other.jetstreamManager();
    const before = (await streams.info(SLICE_STREAM)).state.last_seq;
    for (const cluster of ["theirs", "nobody"])
      other.publish(`$JS.API.DIRECT.GET.${SLICE_STREAM}.${sliceSubject(cluster)}`, "", { reply: sliceSubject("mine") });
    await other.flush();
    // The server has answered: its stream has taken the answers.
    await eventually(async () => expect((await streams.info(SLICE_STREAM)).state.last_seq).toBe(before + 2));
    const second = mine.make([]);
    await publisher.publish(mine, second);
    await eventually(() => expect(heard).toContain(second.message));
    expect(new Set(heard)).toEqual(new Set([first.message, second.message]));
    await other.close();
    stop.abort();
    await running;
  });
});
