import type { KeyObject } from "node:crypto";
import type { Lifecycle } from "@muster/shared/runtime";
import { createMetrics, silentLogger } from "@muster/shared/telemetry";
import type { AgentConfig } from "../../agent/src/config.ts";
import type { AgentFailpoint } from "../../agent/src/failpoints.ts";
import type { Cluster } from "../../agent/src/kube/cluster.ts";
import { fencedCluster } from "../../agent/src/lease/fenced-cluster.ts";
import { takeTurns } from "../../agent/src/lease/take-turns.ts";
import { createWriterLease } from "../../agent/src/lease/writer-lease.ts";
import type { SlicePuller } from "../../agent/src/pull/slice-puller.ts";
import type { HubStream } from "../../agent/src/report/hub-stream.ts";
import { startWriter } from "../../agent/src/start-writer.ts";
import type { SeededRandom } from "../rig/seeded-random.ts";
import type { Caller } from "./network.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** The cluster and the namespace that agents of the simulation are in. */
export const CLUSTER = "c1";
export const AGENT_NAMESPACE = "muster-system";

/** One life of an agent's process, from its start to its death. */
export interface AgentProcess extends Caller {
  /** Nothing of it runs any more, wherever it was; nobody is told. */
  kill(): void;
  /** Stands still, as SIGSTOP makes it; what comes meanwhile is heard at the thaw. */
  freeze(): void;
  thaw(): void;
  /**
   * Ends what a killed process still waits for, once its history is over. Node keeps every combined signal that somebody listens to
   * for as long as the program runs, and with it all that the dead process knew.
   */
  bury(): void;
}

/** Options of {@link startProcess}. */
export interface ProcessOptions {
  readonly name: string;
  readonly time: VirtualTime;
  readonly random: SeededRandom;
  readonly pinned: readonly KeyObject[];
  /** The process' own way to everything outside of it. */
  readonly connect: (caller: Caller) => {
    readonly cluster: Cluster;
    readonly puller: SlicePuller;
    readonly openHub: () => Promise<HubStream>;
  };
  /** Every passing of a failpoint, while it lives. */
  readonly onFailpoint: (name: string, process: AgentProcess) => void;
  /** A loop ended by itself: a real process would end with it. */
  readonly onEnd: (why: string) => void;
}

/** The settings that matter here; the rest is about connections that there are not. */
const CONFIG = {
  MUSTER_CLUSTER: CLUSTER,
  MUSTER_TRUST_DOMAIN: "muster.local",
  MUSTER_WATCH_NAMESPACES: [] as string[],
  MUSTER_POLL_INTERVAL_MS: 30_000,
  MUSTER_RELIST_INTERVAL_MS: 300_000,
  MUSTER_CONCURRENCY: 4,
  namespace: AGENT_NAMESPACE,
} as AgentConfig;

/** Starts what `main.ts` starts, with virtual time and without its sockets. */
export function startProcess(options: ProcessOptions): AgentProcess {
  const { time, random, onEnd } = options;
  let alive = true;
  let frozen: (() => void)[] | undefined;
  const everything = new AbortController();
  const controllers = [everything];
  const process: AgentProcess = {
    name: options.name,
    get alive() {
      return alive;
    },
    hear(work) {
      if (!alive) return;
      if (frozen) frozen.push(work);
      else work();
    },
    kill() {
      alive = false;
    },
    freeze() {
      frozen ??= [];
    },
    thaw() {
      const waiting = frozen ?? [];
      frozen = undefined;
      for (const work of waiting) process.hear(work);
    },
    bury() {
      for (const controller of controllers) controller.abort(new Error("the history is over"));
    },
  };
  const clock = time.clock(process.hear);
  const base = { clock, random: random.next, logger: silentLogger() };
  // What runs after a kill reaches nobody, so it need not be stopped: it ends at its next await.
  const failpoint: AgentFailpoint = (name) => {
    if (alive) options.onFailpoint(name, process);
  };
  const ended = (label: string) => (error: unknown) => {
    if (alive) onEnd(`${label} ended: ${error instanceof Error ? error.stack : String(error)}`);
  };

  function lifecycle(): Lifecycle {
    const controller = new AbortController();
    controllers.push(controller);
    return {
      signal: controller.signal,
      onStop: () => {},
      run: (label, loop) => void loop.catch((error: unknown) => (controller.signal.aborted ? undefined : ended(label)(error))),
      stop: async () => controller.abort(new Error("stopping")),
    };
  }

  const { cluster, puller, openHub } = options.connect(process);
  const lease = createWriterLease({ ...base, cluster, namespace: AGENT_NAMESPACE, instance: options.name });
  const turns = takeTurns({
    ...base,
    lease,
    signal: everything.signal,
    start() {
      failpoint("agent.afterLease");
      const turn = lifecycle();
      startWriter({
        ...base,
        config: CONFIG,
        pinned: options.pinned,
        instance: options.name,
        failpoint,
        metrics: createMetrics(),
        cluster: fencedCluster(cluster, lease),
        lifecycle: turn,
        puller,
        openHub,
      });
      return () => turn.stop();
    },
  });
  turns.done.catch(ended("turns"));
  return process;
}
