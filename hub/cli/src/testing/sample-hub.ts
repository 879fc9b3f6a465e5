import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CodedError } from "@muster/shared/errors";
import { type Clock, systemClock } from "@muster/shared/runtime";
import { createMetrics, type Logger, type Metrics, silentLogger } from "@muster/shared/telemetry";
import type { ChangeNotice, Inspection } from "../api-views.ts";
import { run } from "../run.ts";
import type { Terminal } from "../terminal.ts";
import { type SampleAgents, sampleAgents } from "./sample-agents.ts";
import { SAMPLE_NOW, type SampleFleet } from "./sample-fleet.ts";

const TOKEN = "sample-token";

function sampleQueries(sample: SampleFleet, onWatch: () => void) {
  return {
    fleet: () => sample.fleet,
    clusters: () => sample.clusters,
    cluster: (name: string) => sample.clusters.find((one) => one.name === name),
    bundles: () => sample.bundles,
    bundle: (name: string) => sample.bundles.find((one) => one.name === name),
    targets: (filter: { cluster?: string; bundle?: string } = {}) =>
      sample.targets.filter((one) => one.cluster === (filter.cluster ?? one.cluster) && one.bundle === (filter.bundle ?? one.bundle)),
    target: (bundle: string, cluster: string) => sample.targets.find((one) => one.bundle === bundle && one.cluster === cluster),
    drift: () => sample.drift,
    revisions: () => sample.revisions,
    events: () => sample.events,
    subscribe(listener: (notice: ChangeNotice) => void) {
      sample.listeners.add(listener);
      onWatch();
      return () => sample.listeners.delete(listener);
    },
  };
}

/** What the real `createApi` is called with; the CLI may not know the hub's types, so tests hand the function in. */
interface SampleApiOptions {
  readonly queries: ReturnType<typeof sampleQueries>;
  readonly commands: {
    reconcile(cluster: string, bundle?: string): Promise<void>;
    inspect(cluster: string, bundle: string): Promise<Inspection>;
    rotate(cluster: string): Promise<void>;
  };
  readonly agents: SampleAgents;
  readonly backup: () => Promise<string>;
  readonly look: () => void;
  readonly sources: readonly { readonly name: string; readonly url: string }[];
  readonly token: () => string;
  readonly webhookSecret: () => string;
  readonly metrics: Metrics;
  readonly ready: () => { readonly ready: boolean; readonly reasons: readonly string[] };
  readonly logger: Logger;
  readonly clock: Clock;
  readonly version: string;
  readonly loaded?: () => boolean;
  readonly tls?: { readonly cert: string; readonly key: string };
}

type CreateApi = (options: SampleApiOptions) => Promise<{
  listen(options: { port: number; host: string }): Promise<string>;
  close(): PromiseLike<unknown>;
  readonly server: { closeAllConnections?(): void };
}>;

/** What a command printed. */
export interface Printed {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A hub over a sample, and the `muster` command beside it. */
export interface SampleHub {
  readonly url: string;
  readonly tokenFile: string;
  /** What agents were asked for. */
  readonly reconciled: string[];
  /** Runs `muster` against this hub; not on a terminal unless `terminal` says so. */
  muster(argv: readonly string[], terminal?: Partial<Terminal>): Promise<Printed>;
  /** Ends every connection, as a network does. */
  cutConnections(): void;
  /** Resolves when the next watch has begun. */
  nextWatch(): Promise<void>;
  close(): Promise<void>;
}

/** Starts the real API on a port, by default a free one; with `tls`, over HTTPS. */
export async function startSampleHub(
  createApi: CreateApi,
  sample: SampleFleet,
  tls?: { readonly cert: string; readonly key: string },
  port = 0,
): Promise<SampleHub> {
  const folder = mkdtempSync(join(tmpdir(), "muster-cli-"));
  const tokenFile = join(folder, "token");
  writeFileSync(tokenFile, `${TOKEN}\n`, { mode: 0o600 });
  const reconciled: string[] = [];
  let watchBegan = () => {};
  const liveOrThrow = (name: string) => {
    const cluster = sample.clusters.find((one) => one.name === name);
    if (!cluster) throw new CodedError("API_NOT_FOUND", `There is no cluster ${name}`);
    if (!cluster.connected) throw new CodedError("AGENT_OFFLINE", `The agent of ${name} is not connected`);
  };
  const app = await createApi({
    queries: sampleQueries(sample, () => watchBegan()),
    commands: {
      async reconcile(cluster, bundle) {
        liveOrThrow(cluster);
        reconciled.push(bundle === undefined ? cluster : `${cluster}/${bundle}`);
      },
      rotate: async () => {},
      async inspect(cluster, bundle) {
        liveOrThrow(cluster);
        const ref = { group: "apps", kind: "Deployment", namespace: "web", name: "podinfo" };
        return {
          items: [
            {
              ref,
              bundle,
              health: "Current",
              message: "",
              uid: "6d1",
              lastAction: "unchanged",
              ...(bundle === "podinfo" && { sharedWith: [{ manager: "other-tool", paths: [".metadata.labels.team"] }] }),
            },
          ],
          ...(bundle === "guestbook" && { truncated: "12 more objects are not shown" }),
        };
      },
    },
    backup: async () => "an age file\n",
    agents: sampleAgents(sample.clusters.map(({ name }) => name)),
    look: () => {},
    sources: [],
    token: () => TOKEN,
    webhookSecret: () => "sample-secret",
    metrics: createMetrics(),
    ready: () => ({ ready: true, reasons: [] }),
    loaded: () => sample.loaded,
    logger: silentLogger(),
    clock: systemClock,
    version: "0.1.0",
    ...(tls && { tls }),
  });
  const url = await app.listen({ port, host: "127.0.0.1" });
  return {
    url,
    tokenFile,
    reconciled,
    muster: (argv, terminal) =>
      runMuster(argv, {
        ...terminal,
        env: { MUSTER_URL: url, MUSTER_TOKEN_FILE: tokenFile, MUSTER_CONFIG: join(folder, "config.yaml"), ...terminal?.env },
      }),
    cutConnections: () => app.server.closeAllConnections?.(),
    nextWatch: () =>
      new Promise((resolve) => {
        watchBegan = resolve;
      }),
    async close() {
      await app.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Runs `muster` and collects what it prints; at the time of the sample. */
export async function runMuster(argv: readonly string[], terminal: Partial<Terminal> = {}): Promise<Printed> {
  let out = "";
  let err = "";
  const code = await run(argv, {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
    env: {},
    isTTY: false,
    now: () => SAMPLE_NOW,
    ...terminal,
  });
  return { code, out, err };
}
