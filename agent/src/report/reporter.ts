import type {
  ClusterFacts,
  ClusterReport,
  Generation,
  ObjectException,
  ObjectRef,
  ObjectRefText,
  ReportedEvent,
} from "@muster/shared/model";
import { formatObjectRef } from "@muster/shared/model";
import type { AgentMessage, HubMessage__Output } from "@muster/shared/rpc";
import { type Clock, createBackoff, type Random, Wakeup } from "@muster/shared/runtime";
import type { Logger } from "@muster/shared/telemetry";
import type { AgentFailpoint } from "../failpoints.ts";
import type { InspectedObject } from "../reconcile/bundle-report.ts";
import type { HubStream } from "./hub-stream.ts";
import { statusDelta, type Told } from "./status-delta.ts";
import { factsToWire, inspectionToWire } from "./to-wire.ts";

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
  /** Make other keys. */
  rotate(): void;
  /** One object, all of a bundle, or all. */
  inspect(what: { readonly bundle?: string; readonly ref?: ObjectRef }): readonly InspectedObject[];
}

/** Options of {@link createReporter}. */
export interface ReporterOptions {
  /** Opens a stream to the hub. */
  readonly open: () => Promise<HubStream>;
  readonly source: ReportSource;
  readonly commands: CommandHandler;
  /** Random per process. */
  readonly instance: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Default: none. */
  readonly failpoint?: AgentFailpoint;
}

/** Tells the hub how the cluster is. State, not events: the latest wins, and everything is told again after a reconnect. */
export interface Reporter {
  /** Something may have changed. */
  notify(): void;
  /** Something happened: told at least once, unless more than 500 wait for a hub that does not answer. */
  event(event: ReportedEvent): void;
  /** An object is not as it should be, though it may be mended before the next message: told in any case. */
  seen(exception: ObjectException): void;
  readonly connected: boolean;
  run(signal: AbortSignal): Promise<void>;
}

/** Milliseconds between two status messages at least. A first change is told at once. */
const MIN_INTERVAL_MS = 50;
/** And so many times what it took to look at the state, which grows with the objects: telling must not take the time of doing. */
const REST_FACTOR = 10;
/** But no longer than this: that something has drifted is told within a second. */
const MAX_INTERVAL_MS = 500;
/** Events that wait for a hub that takes them; older ones are dropped, because state is what counts (E246). */
const MAX_EVENTS = 500;
/** Objects that were seen a moment ago; beyond it their events must do. */
const MAX_SEEN = 1_000;
const WELCOME_TIMEOUT_MS = 10_000;

export function createReporter(options: ReporterOptions): Reporter {
  const { source, commands, clock, random, logger, failpoint = () => {} } = options;
  const wakeup = new Wakeup();
  let events: ReportedEvent[] = [];
  const seen = new Map<ObjectRefText, ObjectException>();
  let connected = false;

  /** One stream, from Hello to its end. Throws the reason of the end. */
  async function session(stream: HubStream, signal: AbortSignal): Promise<void> {
    const ended = new AbortController();
    const both = AbortSignal.any([signal, ended.signal]);
    let heardAt = clock.monotonicMs();
    let heartbeatMs = 15_000;
    let sequence = 0;
    /** What the hub knows; undefined: nothing yet. */
    let told: Told | undefined;
    /** Events that were sent and not acknowledged: they are sent again on the next stream. */
    let unacknowledged: { readonly sequence: number; readonly events: readonly ReportedEvent[] }[] = [];
    let drained = Promise.withResolvers<void>();
    const welcome = Promise.withResolvers<void>();

    const send = async (body: AgentMessage): Promise<void> => {
      sequence += 1;
      // A hub that is slow is waited for; what changes meanwhile is told in one message.
      if (!stream.write({ ...body, sequence }) && !both.aborted) await drained.promise;
    };
    /** What the hub says of the stream itself. */
    const hear = (message: HubMessage__Output): void => {
      heardAt = clock.monotonicMs();
      if (message.welcome) {
        heartbeatMs = Math.min(60_000, Math.max(50, message.welcome.heartbeatIntervalMs));
        welcome.resolve();
      } else if (message.ack) {
        const upTo = message.ack.sequence;
        unacknowledged = unacknowledged.filter((sent) => sent.sequence > upTo);
      } else if (message.resync) {
        told = undefined;
        wakeup.wake();
      } else obey(message);
    };
    /** What the hub wants of the agent. */
    const obey = ({ sliceHint, reconcile, rotate, inspect }: HubMessage__Output): void => {
      if (sliceHint) commands.sliceHint();
      else if (rotate) commands.rotate();
      else if (reconcile) commands.reconcile(reconcile.bundle || undefined);
      else if (inspect) {
        const { id, bundle, ref } = inspect;
        const objects = commands.inspect({ ...(bundle && { bundle }), ...(ref && { ref }) });
        void send({ inspectResult: inspectionToWire(id, objects) });
      }
    };
    stream.onEnd((error) => ended.abort(error));
    // All that wait go on: status, heartbeats and answers share the stream.
    stream.onDrain(() => {
      drained.resolve();
      drained = Promise.withResolvers();
    });
    both.addEventListener("abort", () => drained.resolve(), { once: true });
    stream.onMessage(hear);

    async function tellStatus(): Promise<void> {
      const taken = events;
      const beganMs = clock.monotonicMs();
      const delta = statusDelta(
        { facts: source.facts(), cluster: source.cluster(), exceptions: source.exceptions(), seen: [...seen.values()], events: taken },
        told,
      );
      const restMs = Math.min(MAX_INTERVAL_MS, REST_FACTOR * (clock.monotonicMs() - beganMs));
      const rest = (ms: number) => clock.sleep(ms, both).catch(() => {});
      if (!delta) return restMs > MIN_INTERVAL_MS ? rest(restMs) : undefined;
      events = [];
      if (taken.length > 0) unacknowledged.push({ sequence: sequence + delta.messages.length, events: taken });
      told = delta.told;
      // What was only a moment's is not in the state: the next message clears it again.
      if (seen.size > 0) wakeup.wake();
      seen.clear();
      for (const message of delta.messages) {
        failpoint("agent.duringStatus");
        await send({ status: message });
      }
      await rest(Math.max(MIN_INTERVAL_MS, restMs));
    }

    async function untilWelcome(welcomed: Promise<void>, over: AbortSignal): Promise<void> {
      const enough = new AbortController();
      const late = clock.sleep(WELCOME_TIMEOUT_MS, AbortSignal.any([over, enough.signal])).then(
        () => Promise.reject(new Error("the hub did not answer Hello")),
        () => (over.aborted ? Promise.reject(over.reason) : undefined),
      );
      await Promise.race([welcomed, late]).finally(() => enough.abort());
    }

    async function heartbeats(): Promise<void> {
      while (!both.aborted) {
        await clock.sleep(heartbeatMs, both).catch(() => {});
        if (both.aborted) return;
        if (clock.monotonicMs() - heardAt > 3 * heartbeatMs)
          return ended.abort(new Error("nothing was heard from the hub for three heartbeats"));
        await send({ heartbeat: { sentAtMs: clock.wallMs() } });
      }
    }

    // What was mended while nobody listened is no news.
    seen.clear();
    try {
      const mark = source.highWater();
      await send({
        hello: {
          instance: options.instance,
          facts: factsToWire(source.facts()),
          ...(mark && { highWater: { epoch: mark.epoch, generation: mark.generation } }),
        },
      });
      await untilWelcome(welcome.promise, both);
      connected = true;
      logger.info("connected to the hub");
      const beating = heartbeats();
      while (!both.aborted) {
        await tellStatus();
        await wakeup.wait(undefined, both);
      }
      await beating;
      throw both.reason;
    } finally {
      connected = false;
      stream.close();
      events = [...unacknowledged.flatMap((sent) => sent.events), ...events].slice(-MAX_EVENTS);
    }
  }

  return {
    notify: () => wakeup.wake(),
    event(event) {
      events.push(event);
      if (events.length > MAX_EVENTS) events = events.slice(-MAX_EVENTS);
      wakeup.wake();
    },
    seen(exception) {
      if (seen.size < MAX_SEEN) seen.set(formatObjectRef(exception.ref), exception);
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
          await session(await options.open(), signal);
        } catch (error) {
          if (signal.aborted) return;
          if (clock.monotonicMs() - began > 10_000) backoff.reset();
          logger.warn({ err: error }, "no connection to the hub; going on without it");
        }
        if (!signal.aborted) await clock.sleep(backoff.next(), signal).catch(() => {});
      }
    },
  };
}
