import { readFile } from "node:fs/promises";
import { type ClientDuplexStream, credentials } from "@grpc/grpc-js";
import { type ClusterFacts, type ClusterReport, type Generation, type ObjectException, type ReportedEvent, formatObjectRef, parseObjectRef } from "@muster/shared/model";
import { type AgentMessage, type HubMessage__Output, loadAgentService } from "@muster/shared/rpc";
import { type Clock, type Random, Wakeup, createBackoff } from "@muster/shared/runtime";
import type { Logger } from "@muster/shared/telemetry";
import { clusterToWire, eventToWire, exceptionToWire, factsToWire } from "./to-wire.ts";

/** What the reporter tells, asked when it is about to tell it. */
export interface ReportSource {
  facts(): ClusterFacts;
  highWater(): Generation | undefined;
  cluster(): ClusterReport;
  exceptions(): ObjectException[];
}

/** What the hub may ask for. */
export interface CommandHandler {
  reconcile(bundle: string | undefined): void;
  /** A newer slice was published: ask NATS. */
  sliceHint(): void;
  inspect(bundle: string): Promise<NonNullable<AgentMessage["inspectResult"]>["objects"]>;
}

/** Options of {@link createReporter}. */
export interface ReporterOptions {
  /** host:port of the hub. */
  readonly address: string;
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** Name that the hub's certificate must have, if it is not the address'. */
  readonly serverName?: string;
  readonly source: ReportSource;
  readonly commands: CommandHandler;
  /** Random per process. */
  readonly instance: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Tells the hub how the cluster is. State, not events: the latest wins, and everything is told again after a reconnect. */
export interface Reporter {
  /** Something may have changed. */
  notify(): void;
  event(event: ReportedEvent): void;
  readonly connected: boolean;
  run(signal: AbortSignal): Promise<void>;
}

type Stream = ClientDuplexStream<AgentMessage, HubMessage__Output>;

/** Messages to the hub are at most this many exceptions or events, so that they stay below the hub's 1 MiB. */
const PAGE = 200;
/** Milliseconds between two status messages at least. A first change is told at once. */
const MIN_INTERVAL_MS = 50;
/** Events that wait for a connection; older ones are dropped, because state is what counts. */
const MAX_EVENTS = 500;

export function createReporter(options: ReporterOptions): Reporter {
  const { source, commands, clock, random, logger } = options;
  const wakeup = new Wakeup();
  let events: ReportedEvent[] = [];
  let connected = false;

  async function openStream(): Promise<{ stream: Stream; close: () => void }> {
    // Read at every connect, so that renewed certificates need no restart.
    const [ca, key, cert] = await Promise.all([readFile(options.caFile), readFile(options.keyFile), readFile(options.certFile)]);
    const Service = loadAgentService();
    const client = new Service(options.address, credentials.createSsl(ca, key, cert), {
      "grpc.keepalive_time_ms": 25_000,
      "grpc.keepalive_timeout_ms": 10_000,
      "grpc.max_receive_message_length": 1024 * 1024,
      "grpc.enable_retries": 0,
      ...(options.serverName && { "grpc.ssl_target_name_override": options.serverName, "grpc.default_authority": options.serverName }),
    });
    const stream = client.Connect() as Stream;
    return {
      stream,
      close: () => {
        stream.cancel();
        client.close();
      },
    };
  }

  async function session(signal: AbortSignal): Promise<void> {
    const { stream, close } = await openStream();
    const ended = new AbortController();
    const both = AbortSignal.any([signal, ended.signal]);
    const fail = (error: Error) => ended.abort(error);
    let heardAt = clock.monotonicMs();
    let heartbeatMs = 15_000;
    let sequence = 0;
    const send = async (body: AgentMessage): Promise<void> => {
      sequence += 1;
      if (stream.write({ ...body, sequence })) return;
      // The hub is slow: wait for it rather than piling up. What changes meanwhile is told in one message.
      await new Promise<void>((resolve) => {
        const done = () => {
          stream.off("drain", done);
          both.removeEventListener("abort", done);
          resolve();
        };
        stream.on("drain", done);
        both.addEventListener("abort", done, { once: true });
      });
    };
    const welcome = Promise.withResolvers<void>();
    stream.on("error", fail);
    stream.on("end", () => fail(new Error("the hub ended the stream")));
    stream.on("data", (message: HubMessage__Output) => {
      heardAt = clock.monotonicMs();
      if (message.welcome) {
        heartbeatMs = Math.min(60_000, Math.max(50, message.welcome.heartbeatIntervalMs));
        welcome.resolve();
      } else if (message.sliceHint) commands.sliceHint();
      else if (message.reconcile) commands.reconcile(message.reconcile.bundle || undefined);
      else if (message.resync) {
        told = undefined;
        wakeup.wake();
      } else if (message.inspect) void inspect(message.inspect.id, message.inspect.bundle, send);
    });
    /** What the hub knows; undefined: nothing yet. */
    let told: { cluster: string; exceptions: Map<string, string>; facts: string } | undefined;

    try {
      const mark = source.highWater();
      await send({ hello: { instance: options.instance, facts: factsToWire(source.facts()), ...(mark && { highWater: { epoch: mark.epoch, generation: mark.generation } }) } });
      await Promise.race([
        welcome.promise,
        clock.sleep(10_000, both).then(
          () => Promise.reject(new Error("the hub did not answer Hello in 10 s")),
          () => Promise.reject(both.reason),
        ),
      ]);
      connected = true;
      logger.info({ hub: options.address }, "connected to the hub");
      const heartbeat = (async () => {
        while (!both.aborted) {
          await clock.sleep(heartbeatMs, both).catch(() => {});
          if (both.aborted) return;
          if (clock.monotonicMs() - heardAt > 3 * heartbeatMs) return fail(new Error("nothing was heard from the hub for three heartbeats"));
          await send({ heartbeat: { sentAtMs: clock.wallMs() } });
        }
      })();
      while (!both.aborted) {
        const next = describeChanges(told);
        if (next) {
          told = next.told;
          for (const message of next.messages) await send({ status: message });
          await clock.sleep(MIN_INTERVAL_MS, both).catch(() => {});
        }
        await wakeup.wait(undefined, both);
      }
      await heartbeat;
      if (!signal.aborted) throw both.reason;
    } finally {
      connected = false;
      close();
    }
  }

  function describeChanges(told: { cluster: string; exceptions: Map<string, string>; facts: string } | undefined) {
    const cluster = clusterToWire(source.cluster());
    const clusterText = JSON.stringify(cluster);
    const facts = factsToWire(source.facts());
    const factsText = JSON.stringify(facts);
    const all = new Map(source.exceptions().map((exception) => [formatObjectRef(exception.ref), exception]));
    const texts = new Map([...all].map(([ref, exception]) => [ref, JSON.stringify(exception)]));
    const changed = [...all].filter(([ref]) => told?.exceptions.get(ref) !== texts.get(ref)).map(([, exception]) => exceptionToWire(exception));
    const cleared = [...(told?.exceptions.keys() ?? [])].filter((ref) => !all.has(ref)).map((ref) => parseObjectRef(ref));
    const pending = events;
    if (told && told.cluster === clusterText && told.facts === factsText && changed.length === 0 && cleared.length === 0 && pending.length === 0) return undefined;
    events = [];
    const messages: NonNullable<AgentMessage["status"]>[] = [];
    const pages = Math.max(1, Math.ceil(Math.max(changed.length, cleared.length, pending.length) / PAGE));
    for (let page = 0; page < pages; page++) {
      const from = page * PAGE;
      messages.push({
        full: told === undefined,
        more: page < pages - 1,
        cluster,
        exceptions: changed.slice(from, from + PAGE),
        cleared: cleared.slice(from, from + PAGE),
        events: pending.slice(from, from + PAGE).map(eventToWire),
        ...(told?.facts !== factsText && { facts }),
      });
    }
    return { messages, told: { cluster: clusterText, exceptions: texts, facts: factsText } };
  }

  async function inspect(id: string, bundle: string, send: (body: AgentMessage) => Promise<void>): Promise<void> {
    try {
      await send({ inspectResult: { id, objects: (await commands.inspect(bundle)) ?? [] } });
    } catch (error) {
      await send({ inspectResult: { id, code: "INTERNAL", message: error instanceof Error ? error.message : String(error) } });
    }
  }

  return {
    notify: () => wakeup.wake(),
    event(event) {
      events.push(event);
      if (events.length > MAX_EVENTS) events = events.slice(-MAX_EVENTS);
      wakeup.wake();
    },
    get connected() {
      return connected;
    },
    async run(signal) {
      const backoff = createBackoff({ initialMs: 300, maxMs: 15_000, random });
      while (!signal.aborted) {
        const began = clock.monotonicMs();
        try {
          await session(signal);
        } catch (error) {
          if (signal.aborted) return;
          if (clock.monotonicMs() - began > 30_000) backoff.reset();
          logger.warn({ hub: options.address, err: error }, "no connection to the hub; going on without it");
        }
        if (!signal.aborted) await clock.sleep(backoff.next(), signal).catch(() => {});
      }
    },
  };
}

