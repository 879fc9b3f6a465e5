import type { BundleReport, ReportedEvent, Slice } from "@muster/shared/model";
import { type Clock, type Random, systemClock } from "@muster/shared/runtime";
import { createMetrics, silentLogger } from "@muster/shared/telemetry";
import { createApplier } from "../../apply/applier.ts";
import { notedApplier, notedPruner } from "../../apply/noted-work.ts";
import { createPruner } from "../../apply/pruner.ts";
import type { AgentFailpoint } from "../../failpoints.ts";
import type { Cluster } from "../../kube/cluster.ts";
import { createDiscoveryCache } from "../../kube/discovery-cache.ts";
import { type CrashNotes, NO_CRASH_NOTES } from "../../observe/crash-notes.ts";
import { createObserver } from "../../observe/create-observer.ts";
import type { Observer } from "../../observe/observer.ts";
import { type Inventory, parseInventory } from "../../plan/inventory.ts";
import { completeSlice } from "../../pull/desired-state.ts";
import { createStateStore } from "../../pull/state-store.ts";
import type { MadeBundle, SliceMaker } from "../../pull/testing/slice-maker.ts";
import { createReconciler, type Reconciler } from "../reconciler.ts";

/** Options of {@link composeAgent}. */
export interface ComposeOptions {
  readonly maker: SliceMaker;
  /** The agent's own namespace. Default `muster-system`. */
  readonly namespace?: string;
  readonly clock?: Clock;
  /** Default: none, so that every wait is as short as it can be. */
  readonly random?: Random;
  /** Milliseconds between two lists of a type. Default as in the agent. */
  readonly relistIntervalMs?: number;
  /** Bound to these namespaces. Default: anywhere. */
  readonly watchNamespaces?: readonly string[];
  /** Whether drift is told with values. Default true. */
  readonly driftValues?: boolean;
  /** Where the process may be killed. Default: nowhere. */
  readonly failpoint?: AgentFailpoint;
  /** Default: nothing is noted. */
  readonly crashNotes?: CrashNotes;
}

/** What is between NATS and the hub, for tests: slices go in by `take`, reports come out. */
export interface ComposedAgent {
  readonly reconciler: Reconciler;
  readonly observer: Observer;
  /** All that it has told since it began. */
  readonly told: ReportedEvent[];
  /** A slice with these bundles, as if it had been pulled. */
  take(bundles: readonly MadeBundle[], more?: Partial<Slice>): Promise<void>;
  bundle(name: string): BundleReport | undefined;
  /** As it is kept in the cluster. */
  inventory(): Promise<Inventory>;
  /** As a kill does: nothing is tidied up. */
  stop(): void;
}

/** Composes an agent over a cluster and starts it. */
export function composeAgent(cluster: Cluster, options: ComposeOptions): ComposedAgent {
  const { maker, namespace = "muster-system", clock = systemClock, relistIntervalMs, watchNamespaces = [], driftValues = true } = options;
  const { failpoint = () => {}, crashNotes = NO_CRASH_NOTES, random = () => 0 } = options;
  const stop = new AbortController();
  const base = { cluster, clock, random, logger: silentLogger(), metrics: createMetrics() };
  const discovery = createDiscoveryCache(cluster, clock);
  const observer = createObserver({
    ...base,
    watchNamespaces,
    ...(relistIntervalMs !== undefined && { relistIntervalMs }),
    wantedOf: (bundle, ref) => reconciler.wanted(bundle, ref),
    driftValues,
    crashNotes,
  });
  const store = createStateStore({ cluster, namespace });
  const reconciler = createReconciler({
    ...base,
    discovery,
    observer,
    store,
    ownNamespace: namespace,
    watchNamespaces,
    concurrency: 4,
    failpoint,
    applier: notedApplier(
      createApplier({ cluster, discovery, observer, clock, failpoint, ownNamespace: namespace, watchNamespaces }),
      crashNotes,
    ),
    prune: notedPruner(createPruner({ cluster, discovery, observer }), crashNotes),
  });
  const told: ReportedEvent[] = [];
  reconciler.onEvent((event) => told.push(event));
  void observer.run(stop.signal);
  void reconciler.run(stop.signal);
  return {
    reconciler,
    observer,
    told,
    async take(bundles, more = {}) {
      const fetched = new Map<string, Uint8Array>();
      const desired = await completeSlice({
        ...maker.make(bundles, more),
        before: reconciler.desired,
        fetchBlob: maker.fetchBlob,
        onBlob: (ref, bytes) => void fetched.set(ref.blob, bytes),
      });
      await reconciler.take(desired, fetched);
    },
    bundle: (name) => reconciler.report(undefined).bundles.find((report) => report.bundle === name),
    inventory: async () => parseInventory(String(await createStateStore({ cluster, namespace }).read("inventory"))),
    stop: () => stop.abort(),
  };
}
