import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { buildBundles, NODE_ARGS } from "../build/bundle.ts";
import { resolveBinary } from "../rig/binaries.ts";
import { type Clusters, startClusters } from "../rig/clusters.ts";
import { type DeleteOracle, startDeleteOracle } from "../rig/delete-oracle.ts";
import { eventually } from "../rig/eventually.ts";
import { freePort } from "../rig/free-port.ts";
import { type GitRepository, type GitServer, startGitServer } from "../rig/git-server.ts";
import { type NatsServer, startNatsServer } from "../rig/nats-server.ts";
import { createTempFolder } from "../rig/temp-folder.ts";
import { createRestrictedNamespace, type InstalledChart, installChart } from "./installed-chart.ts";
import { execInContainer, type PreparedContainer, prepareContainer, type RunningContainer, runContainer } from "./run-container.ts";

// The way that README.md describes, with nothing between the steps: hub chart, `nats-config`, `issue`, agent chart.

const NAMESPACE = "muster-system";
const CREDENTIALS = { username: "bot", password: "correct horse" };
const folder = createTempFolder("installed-fleet");

let clusters: Clusters;
let git: GitServer;
let repository: GitRepository;
let nats: NatsServer | undefined;
let oracle: DeleteOracle | undefined;
let bundles: Awaited<ReturnType<typeof buildBundles>>;
let hub: { installed: InstalledChart; container: PreparedContainer; running?: RunningContainer; url: string };
let agent: { container: PreparedContainer; running: RunningContainer } | undefined;

beforeAll(async () => {
  [clusters, git, bundles] = await Promise.all([
    startClusters(["home", "eu-1"]),
    startGitServer(),
    buildBundles({ outDir: join(folder.path, "dist"), programs: ["hub", "agent", "cli"] }),
  ]);
  repository = await git.createRepository("fleet");
  await repository.commit("a fleet", {
    "clusters/eu-1.yaml": document("Cluster", "eu-1", { variables: { GREETING: "hello" } }, { env: "prod" }),
    "apps/web/bundle.yaml": document("Bundle", "web", { targets: [{ matchLabels: { env: "prod" } }], namespace: "web" }),
    "apps/web/config.yaml": JSON.stringify({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "web" },
      data: { greeting: "${GREETING}" },
    }),
  });
  git.setCredentials(CREDENTIALS);
  for (const cluster of clusters.all) await createRestrictedNamespace(cluster, NAMESPACE);
  await createRestrictedNamespace(clusters.get("eu-1"), "web");
});

afterAll(async () => {
  await agent?.running.stop();
  await hub?.running?.stop();
  await oracle?.stop();
  await nats?.stop();
  await git?.stop();
  await clusters?.stop();
  folder.remove();
});

describe("a fleet that is installed with its two charts", () => {
  it("has a hub that tells how to set up NATS before NATS is there", async () => {
    const apiserver = clusters.get("home");
    const [grpc, enrol, http, natsPort] = [await freePort(), await freePort(), await freePort(), await freePort()];
    const stringData = { "credentials.yaml": JSON.stringify(CREDENTIALS) };
    await apiserver.admin.request("POST", `/api/v1/namespaces/${NAMESPACE}/secrets`, { metadata: { name: "git-fleet" }, stringData });
    const values = {
      config: {
        sources: [{ name: "fleet", url: repository.url, ref: "main", pollIntervalMs: 1_000 }],
        nats: { url: `nats://127.0.0.1:${natsPort}` },
        grpc: {
          listen: `127.0.0.1:${grpc}`,
          enrolListen: `127.0.0.1:${enrol}`,
          address: `localhost:${grpc}`,
          enrolAddress: `localhost:${enrol}`,
          serverNames: ["localhost"],
        },
        http: { listen: `127.0.0.1:${http}` },
        render: { helm: await resolveBinary("helm"), kustomize: await resolveBinary("kustomize") },
      },
      sourceCredentials: { fleet: { existingSecret: "git-fleet" } },
    };
    const installed = await installChart({ apiserver, chart: "hub", release: "muster-hub", namespace: NAMESPACE, values });
    hub = { installed, container: await prepareContainer(installed), url: `http://127.0.0.1:${http}` };

    const config = await execInContainer(hub.container, bundles.hub, ["nats-config"]);
    nats = await startNatsServer({ config, port: natsPort });
    hub.running = await runContainer(hub.container, { bundle: bundles.hub, nodeArgs: NODE_ARGS.hub, probe: `${hub.url}/readyz` });
    oracle = await startDeleteOracle({
      natsUrl: nats.url,
      hubDataDir: join(hub.container.root, "var/lib/muster"),
      clusters,
      isAgent: (user) => user.startsWith(`system:serviceaccount:${NAMESPACE}:`),
    });
  });

  it("has an agent that needs nothing but what `muster cluster join` printed, and its namespaces", async () => {
    const printed = await execInContainer(hub.container, bundles.cli, ["cluster", "join", "eu-1", "-o", "values", "--url", hub.url]);
    const metrics = await freePort();
    const values = { ...(parse(printed) as object), rbac: { namespaces: ["web"] }, metrics: { port: metrics } };
    const installed = await installChart({
      apiserver: clusters.get("eu-1"),
      chart: "agent",
      release: "muster-agent",
      namespace: NAMESPACE,
      values,
    });
    await installed.admit();
    const container = await prepareContainer(installed);
    const probe = `http://127.0.0.1:${metrics}/readyz`;
    agent = { container, running: await runContainer(container, { bundle: bundles.agent, nodeArgs: NODE_ARGS.agent, probe }) };

    const greeting = async () => (await clusters.get("eu-1").admin.get<{ data: object }>("/api/v1/namespaces/web/configmaps/web"))?.data;
    await eventually(async () => expect(await greeting()).toEqual({ greeting: "hello" }), { timeoutMs: 20_000 });
    await repository.commit("another greeting", {
      "clusters/eu-1.yaml": document("Cluster", "eu-1", { variables: { GREETING: "good evening" } }, { env: "prod" }),
    });
    await eventually(async () => expect(await greeting()).toEqual({ greeting: "good evening" }), { timeoutMs: 20_000 });
  });

  it("I2: deletes what leaves Git, and by the audit log nothing else", async () => {
    const path = "/api/v1/namespaces/web/configmaps/short-lived";
    const exists = async () => (await clusters.get("eu-1").admin.get(path)) !== undefined;
    const object = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "short-lived" } };
    await repository.commit("one more", { "apps/web/more.yaml": JSON.stringify(object) });
    await eventually(async () => expect(await exists()).toBe(true), { timeoutMs: 20_000 });
    await repository.commit("one less", { "apps/web/more.yaml": null });
    await eventually(async () => expect(await exists()).toBe(false), { timeoutMs: 20_000 });
    expect(await oracle?.report()).toEqual({ total: 1, unexplained: [] });
  });

  it("answers operators who bring the token that the hub has made, and nobody else", async () => {
    const token = readFileSync(join(hub.container.root, "var/lib/muster/api-token"), "utf8").trim();
    const ask = (bearer: string) => fetch(`${hub.url}/api/v1/clusters/eu-1`, { headers: { authorization: `Bearer ${bearer}` } });
    await eventually(async () => {
      const answer = await ask(token);
      expect(answer.status).toBe(200);
      expect(await answer.json()).toMatchObject({ name: "eu-1", freshness: "Live" });
    });
    expect((await ask("wrong")).status).toBe(401);
  });

  it("ends cleanly on both sides when Kubernetes asks for it", async () => {
    await agent?.running.stop();
    await hub.running?.stop();
    expect([await agent?.running.exited(), await hub.running?.exited()]).toEqual([0, 0]);
  });
});

function document(kind: string, name: string, spec: object, labels?: object): string {
  return JSON.stringify({ apiVersion: "muster.dev/v1alpha1", kind, metadata: { name, ...(labels && { labels }) }, spec });
}
