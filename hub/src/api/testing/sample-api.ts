import { CodedError } from "@muster/shared/errors";
import { type Clock, systemClock } from "@muster/shared/runtime";
import { createMetrics, silentLogger } from "@muster/shared/telemetry";
import type { FastifyInstance } from "fastify";
import type { AgentView } from "../../enrolment/agent-views.ts";
import type {
  BundleView,
  ChangeNotice,
  ClusterView,
  DriftView,
  EventView,
  FleetQueries,
  RevisionView,
  TargetDetailView,
} from "../../status/views.ts";
import type { AgentAdministration } from "../agent-routes.ts";
import type { ApiOptions } from "../api-options.ts";
import { createApi } from "../create-api.ts";

export const TOKEN = "sample-token";
export const SECRET = "sample-secret";
export const BEARER = { authorization: `Bearer ${TOKEN}` };

const AT = "2026-10-05T03:12:00.000Z";
const COUNTS = { total: 1, synced: 1, healthy: 1, drifted: 0, failed: 0 };

export const cluster = (name: string, labels: Record<string, string> = {}): ClusterView => ({
  name,
  labels,
  paused: false,
  freshness: "Live",
  lastHeard: AT,
  connected: true,
  sync: "Synced",
  health: "Current",
  targets: COUNTS,
  desiredGeneration: 2,
  appliedGeneration: 2,
  revision: "main@sha1:3f2a1b9",
  agentVersion: "0.1.0",
  kubernetesVersion: "v1.36.3",
  conditions: [],
});
export const target = (bundle: string, where: string, labels: Record<string, string> = {}): TargetDetailView => ({
  bundle,
  cluster: where,
  labels,
  sync: "OutOfSync",
  health: "Current",
  freshness: "Live",
  objects: 3,
  drifted: 1,
  failed: 0,
  desired: "sha256:a",
  applied: "sha256:a",
  revision: "main@sha1:3f2a1b9",
  conditions: [
    { type: "Held", status: "True", reason: "VARIABLE_UNSET", message: "X has no value", at: "apps/web/bundle.yaml:3", since: AT },
  ],
  exceptions: [{ ref: REF, bundle, health: "Current", drift: { kind: "modified", manager: "kubectl-edit", at: AT, paths: [".data.x"] } }],
  source: "fleet",
  directory: "apps/web",
  layers: ["apps/web/bundle.yaml:3"],
  driftMode: "correct",
});
const REF = { group: "", kind: "ConfigMap", namespace: "apps", name: "web" };
const bundle = (name: string): BundleView => ({
  name,
  source: "fleet",
  directory: `apps/${name}`,
  targets: { ...COUNTS, unknown: 0 },
  dependsOn: [],
  driftMode: "correct",
  conditions: [],
});
const drift: DriftView = {
  ref: REF,
  bundle: "web",
  health: "Current",
  drift: { kind: "missing", paths: [] },
  cluster: "one",
  labels: { env: "prod" },
  freshness: "Live",
  since: AT,
};
const revision = (index: number): RevisionView => ({
  revision: `main@sha1:${index}`,
  at: AT,
  subject: "Change",
  author: "Ada",
  publishedSlices: 1,
  problems: 0,
  current: index === 3,
  clusters: { total: 2, applied: 1 },
});
export const event = (id: number): EventView => ({
  id,
  at: AT,
  type: "Published",
  severity: "info",
  cluster: "one",
  message: `event ${id}`,
});

/** What the sample answers; a test changes it. */
export interface SampleData {
  clusters: ClusterView[];
  targets: TargetDetailView[];
  revisions: RevisionView[];
  events: EventView[];
  loaded: boolean;
  token: string;
  webhookSecret: string;
}

/** The real API over a small fleet. */
export interface SampleApi {
  readonly app: FastifyInstance;
  readonly data: SampleData;
  /** What the webhook has made the hub look at; undefined stands for every source. */
  readonly looks: (string | undefined)[];
  readonly reconciled: string[];
  readonly listeners: ReadonlySet<(notice: ChangeNotice) => void>;
  notify(notice: ChangeNotice): void;
  /** As an operator with the token; `token: null` without one. */
  get(url: string, token?: string | null): Promise<{ status: number; body: Record<string, unknown>; headers: Record<string, unknown> }>;
}

const FINGERPRINT = "3f2a1b9c".repeat(8);

/** One agent that acts, and one that waits until somebody approves it. */
function sampleAgents(): AgentAdministration {
  const agents: AgentView[] = [
    {
      cluster: "one",
      state: "Enrolled",
      fingerprint: FINGERPRINT,
      origin: "token",
      since: AT,
      certificateEndsAt: AT,
      revoked: 0,
      connected: true,
    },
    {
      cluster: "two",
      state: "Pending",
      pending: { fingerprint: FINGERPRINT, reason: "another-identity", since: AT },
      revoked: 1,
      connected: false,
    },
  ];
  const viewOf = (name: string): AgentView => {
    const found = agents.find((agent) => agent.cluster === name);
    if (!found) throw new CodedError("API_NOT_FOUND", `There is no cluster ${name}`);
    return found;
  };
  return {
    list: () => agents,
    join: (name) => ({
      cluster: viewOf(name).cluster,
      token: "muster_join_sample",
      expiresAt: AT,
      trustDomain: "muster.local",
      hubAddress: "hub.example:8443",
      enrolAddress: "hub.example:8444",
      natsUrl: "nats://nats.example:4222",
      ca: "-----BEGIN CERTIFICATE-----\nca\n-----END CERTIFICATE-----\n",
      signingKeys: "-----BEGIN PUBLIC KEY-----\nkey\n-----END PUBLIC KEY-----\n",
    }),
    approve(name, fingerprint) {
      const { pending } = viewOf(name);
      if (!pending || (fingerprint !== undefined && fingerprint !== pending.fingerprint))
        throw new CodedError("AGENT_NOT_PENDING", `Nobody waits for an approval of ${name}`);
      return {
        cluster: name,
        state: "Enrolled",
        fingerprint: pending.fingerprint,
        origin: "approval",
        since: AT,
        revoked: 1,
        connected: false,
      };
    },
    rotate: async (name) => void viewOf(name),
    revoke: (name) => ({ cluster: viewOf(name).cluster, state: "None", revoked: 1, connected: false }),
  };
}

export async function createSampleApi(options: Partial<ApiOptions> & { readonly clock?: Clock } = {}): Promise<SampleApi> {
  const data: SampleData = {
    clusters: [cluster("two", { env: "lab" }), cluster("one", { env: "prod" })],
    targets: [target("web", "one", { env: "prod" }), target("web", "two", { env: "lab" }), target("db", "one", { env: "prod" })],
    revisions: [revision(3), revision(2), revision(1)],
    events: [event(3), event(2), event(1)],
    loaded: true,
    token: TOKEN,
    webhookSecret: SECRET,
  };
  const listeners = new Set<(notice: ChangeNotice) => void>();
  const looks: (string | undefined)[] = [];
  const reconciled: string[] = [];
  const queries: FleetQueries = {
    fleet: () => ({
      healthy: data.loaded,
      revision: "main@sha1:3f2a1b9",
      clusters: { total: 2, live: 2, stale: 0, never: 0, synced: 2, healthy: 2 },
      targets: { ...COUNTS, unknown: 0 },
      problems: [],
      sources: [{ name: "fleet", url: "https://git.example/fleet", ref: "main", commit: "3f2a1b9", fetchedAt: AT, conditions: [] }],
    }),
    clusters: () => data.clusters,
    cluster: (name) => data.clusters.find((view) => view.name === name),
    bundles: () => [bundle("web"), bundle("db")],
    bundle: (name) => (["web", "db"].includes(name) ? bundle(name) : undefined),
    targets: (filter = {}) =>
      data.targets.filter(
        (view) => (!filter.cluster || view.cluster === filter.cluster) && (!filter.bundle || view.bundle === filter.bundle),
      ),
    target: (name, where) => data.targets.find((view) => view.bundle === name && view.cluster === where),
    drift: () => [drift],
    revisions: () => data.revisions,
    events: () => data.events,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const app = await createApi({
    queries,
    commands: {
      async reconcile(name, wanted) {
        reconciled.push(wanted ? `${wanted}/${name}` : name);
      },
      rotate: async () => {},
      inspect: async (_where, wanted) => ({
        items: [{ ref: REF, bundle: wanted, health: "Current", message: "", uid: "u", lastAction: "unchanged" }],
        truncated: "7 more objects are not shown",
      }),
    },
    agents: sampleAgents(),
    backup: async () => "an age file",
    look: (source) => void looks.push(source),
    sources: [
      { name: "fleet", url: "https://git.example/acme/fleet.git", ref: "main" },
      { name: "extra", url: "https://git.example/acme/extra", ref: "v2" },
    ],
    token: () => data.token,
    webhookSecret: () => data.webhookSecret,
    metrics: createMetrics(),
    ready: () => (data.loaded ? { ready: true, reasons: [] } : { ready: false, reasons: ["no commit was read yet"] }),
    loaded: () => data.loaded,
    logger: silentLogger(),
    clock: systemClock,
    version: "0.1.0",
    ...options,
  });
  return {
    app,
    data,
    looks,
    reconciled,
    listeners,
    notify: (notice) => {
      for (const listener of listeners) listener(notice);
    },
    async get(url, token = TOKEN) {
      const answer = await app.inject({ url, headers: token === null ? {} : { authorization: `Bearer ${token}` } });
      const json = String(answer.headers["content-type"]).startsWith("application/json");
      return { status: answer.statusCode, body: json ? answer.json() : { text: answer.body }, headers: answer.headers };
    },
  };
}
