import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { parseHubConfig } from "../../hub/src/config.ts";
import { type Clusters, startClusters } from "../rig/clusters.ts";
import { eventually } from "../rig/eventually.ts";
import type { KubeApiserver } from "../rig/kube-apiserver.ts";
import { startKubeControllerManager } from "../rig/kube-controller-manager.ts";
import { type HelmRelease, helmRelease } from "./helm.ts";
import { createRestrictedNamespace, type InstalledChart, installChart } from "./installed-chart.ts";
import { type PreparedContainer, prepareContainer } from "./run-container.ts";

const NAMESPACE = "muster-system";
const SECRETS = {
  "git-fleet": { "credentials.yaml": "username: bot\npassword: canary-git\n" },
  "nats-hub": { "hub.creds": "canary-nats", "agents.seed": "canary-seed", "ca.pem": "canary-ca" },
  "hub-api": { "api-token": "canary-token", "webhook-secret": "canary-hook" },
  "hub-tls": { "tls.crt": "canary-certificate", "tls.key": "canary-key" },
};
const SOURCES = [{ name: "fleet", url: "https://git.example/fleet.git" }];
const FULL = {
  config: {
    sources: [
      { name: "fleet", url: "https://git.example/fleet.git", ref: "main", pollIntervalMs: 30_000 },
      { name: "open", url: "http://git.example:3000/open.git" },
    ],
    nats: { url: "nats://one:4222,nats://two:4333" },
    grpc: { serverNames: ["hub.example.com"] },
  },
  sourceCredentials: { fleet: { existingSecret: "git-fleet" } },
  natsCredentials: { existingSecret: "nats-hub", caKey: "ca.pem" },
  apiCredentials: { existingSecret: "hub-api" },
  apiTls: { existingSecret: "hub-tls" },
  networkPolicy: { enabled: true },
  ingress: { enabled: true, className: "nginx", hosts: [{ host: "hub.example.com" }] },
  service: { grpc: { type: "LoadBalancer", port: 443, loadBalancerSourceRanges: ["10.0.0.0/8"] } },
};

let clusters: Clusters;
let apiserver: KubeApiserver;

beforeAll(async () => {
  clusters = await startClusters(["hub"]);
  apiserver = clusters.get("hub");
  for (const name of [NAMESPACE, "plain", "stuck"]) await createRestrictedNamespace(apiserver, name);
  for (const [name, stringData] of Object.entries(SECRETS)) {
    await apiserver.admin.request("POST", `/api/v1/namespaces/${NAMESPACE}/secrets`, { metadata: { name }, stringData });
  }
});
afterAll(() => clusters?.stop());

describe("the hub chart with everything in existing Secrets", () => {
  let installed: InstalledChart;
  let container: PreparedContainer;

  beforeAll(async () => {
    installed = await installChart({ apiserver, chart: "hub", release: "muster-hub", namespace: NAMESPACE, values: FULL });
    container = await prepareContainer(installed);
  });
  afterAll(() => container?.remove());

  it("makes a pod that Pod Security admission lets into a restricted namespace", async () => {
    await installed.admit();
  });

  it("gives the hub neither a token nor a right", async () => {
    expect(installed.pod.automountServiceAccountToken).toBe(false);
    expect(container.env["KUBECONFIG"]).toBeUndefined();
    for (const resource of ["secrets", "configmaps", "pods"]) {
      expect(await installed.may("get", resource, { namespace: NAMESPACE })).toBe(false);
      expect(await installed.may("list", resource)).toBe(false);
    }
  });

  it("renders the configuration that the hub reads, with the paths of what is mounted", () => {
    const rendered: unknown = parse(container.files.get("/etc/muster/config/hub.yaml") ?? "");
    expect(parseHubConfig(rendered).sources.map((source) => source.name)).toEqual(["fleet", "open"]);
    expect(rendered).toEqual({
      trustDomain: "muster.local",
      dataDir: "/var/lib/muster",
      sources: [
        {
          name: "fleet",
          url: "https://git.example/fleet.git",
          ref: "main",
          pollIntervalMs: 30_000,
          credentialsFile: "/etc/muster/git/fleet/credentials.yaml",
        },
        { name: "open", url: "http://git.example:3000/open.git" },
      ],
      nats: {
        url: "nats://one:4222,nats://two:4333",
        agentAccount: { seedFile: "/etc/muster/nats/agents.seed" },
        credsFile: "/etc/muster/nats/hub.creds",
        caFile: "/etc/muster/nats/ca.crt",
      },
      identity: { certificateDays: 30, natsHours: 24 },
      backup: { recipients: [] },
      grpc: {
        listen: "0.0.0.0:8443",
        enrolListen: "0.0.0.0:8444",
        address: "hub.example.com:443",
        enrolAddress: "hub.example.com:8444",
        serverNames: ["hub.example.com", "muster-hub.muster-system.svc", "muster-hub.muster-system", "muster-hub"],
        leaseMs: 90_000,
        heartbeatIntervalMs: 15_000,
      },
      http: {
        listen: "0.0.0.0:8080",
        tokenFile: "/etc/muster/api/api-token",
        webhookSecretFile: "/etc/muster/api/webhook-secret",
        tls: { certFile: "/etc/muster/tls/tls.crt", keyFile: "/etc/muster/tls/tls.key" },
      },
      render: {
        timeoutMs: 30_000,
        maxOutputBytes: 67_108_864,
        maxMemoryBytes: 1_073_741_824,
        concurrency: 2,
        kubernetesVersion: "v1.36.0",
        networkIsolation: "prefer",
      },
      publish: { auditIntervalMs: 30_000, blobGracePeriodMs: 3_600_000, replicas: 1 },
      log: { level: "info" },
    });
  });

  it("mounts every Secret as a file that the configuration names, and puts none into the environment or a ConfigMap", async () => {
    expect(container.files.get("/etc/muster/git/fleet/credentials.yaml")).toContain("canary-git");
    expect(container.files.get("/etc/muster/nats/hub.creds")).toBe("canary-nats");
    expect(container.files.get("/etc/muster/nats/agents.seed")).toBe("canary-seed");
    expect(container.files.get("/etc/muster/nats/ca.crt")).toBe("canary-ca");
    expect(container.files.get("/etc/muster/api/api-token")).toBe("canary-token");
    expect(container.files.get("/etc/muster/tls/tls.key")).toBe("canary-key");
    const configMaps = await apiserver.admin.get(`/api/v1/namespaces/${NAMESPACE}/configmaps`);
    expect(JSON.stringify([container.env, configMaps, installed.notes])).not.toContain("canary");
  });

  it("lets agents in by gRPC only, and people by HTTP only", async () => {
    const service = (name: string) => apiserver.admin.get<{ spec: object }>(`/api/v1/namespaces/${NAMESPACE}/services/${name}`);
    expect(await service("muster-hub")).toMatchObject({
      spec: {
        type: "LoadBalancer",
        ports: [
          { port: 443, targetPort: "grpc" },
          { port: 8444, targetPort: "enrol" },
        ],
      },
    });
    expect(await service("muster-hub-api")).toMatchObject({ spec: { type: "ClusterIP", ports: [{ port: 8080, targetPort: "http" }] } });
    const ingress = await apiserver.admin.get<object>(`/apis/networking.k8s.io/v1/namespaces/${NAMESPACE}/ingresses/muster-hub`);
    expect(JSON.stringify(ingress)).toContain('"name":"muster-hub-api","port":{"name":"http"}');
    expect(installed.notes).toContain("WARNING: the Ingress has no TLS");
  });

  it("says how agents reach it, and how to ask it with the token and the certificate that are in force", () => {
    expect(installed.notes).toContain(
      "Agents dial hub.example.com:443 and hub.example.com:8444, and NATS at nats://one:4222,nats://two:4333",
    );
    expect(installed.notes).toContain(`get secret hub-api -o go-template='{{ index .data "api-token" | base64decode }}' > hub.token`);
    expect(installed.notes).toContain("--url https://HOST:8080");
    // No certificate names 127.0.0.1.
    expect(installed.notes).not.toContain("Ask it from inside");
    expect(container.env["MUSTER_URL"]).toBeUndefined();
    expect(container.env["MUSTER_TOKEN_FILE"]).toBe(`${container.root}/etc/muster/api/api-token`);
  });

  it("lets the hub out to DNS, NATS and the Git servers only", async () => {
    const path = `/apis/networking.k8s.io/v1/namespaces/${NAMESPACE}/networkpolicies/muster-hub`;
    const policy = await apiserver.admin.get<{ spec: { egress: { ports: { port: number }[] }[] } }>(path);
    expect(policy?.spec.egress.map((rule) => rule.ports.map(({ port }) => port))).toEqual([
      [53, 53],
      [4222, 4333, 443, 3000],
    ]);
  });

  it("keeps the volume with the keys when it is uninstalled", async () => {
    await installed.helm.uninstall();
    const path = `/api/v1/namespaces/${NAMESPACE}/persistentvolumeclaims/muster-hub-data`;
    const claim = await apiserver.admin.get<{ metadata: { deletionTimestamp?: string } }>(path);
    expect(claim).toBeDefined();
    expect(claim?.metadata.deletionTimestamp).toBeUndefined();
  });
});

describe("the hub chart with what it needs and no more", () => {
  it("is admitted, keeps its data on a claim, and says what to do next", async () => {
    const values = { config: { sources: SOURCES, nats: { url: "nats://nats:4222" } } };
    const installed = await installChart({ apiserver, chart: "hub", release: "hub", namespace: "plain", values });
    await installed.admit();
    expect(installed.pod.volumes?.find((volume) => volume.name === "data")?.persistentVolumeClaim).toEqual({
      claimName: "hub-muster-hub-data",
    });
    expect(installed.notes).toContain("kubectl -n plain exec sts/hub-muster-hub -- muster-hub nats-config");
    expect(installed.notes).toContain("exec sts/hub-muster-hub -- muster cluster join CLUSTER");
    expect(installed.notes).toContain(
      "Agents dial hub-muster-hub.plain.svc:8443 and hub-muster-hub.plain.svc:8444, and NATS at nats://nats:4222",
    );
    expect(installed.notes).toContain("kubectl -n plain exec sts/hub-muster-hub -- muster status");
    const env = Object.fromEntries(installed.pod.containers[0]?.env?.map(({ name, value }) => [name, value]) ?? []);
    expect(env).toMatchObject({ MUSTER_URL: "http://127.0.0.1:8080", MUSTER_TOKEN_FILE: "/var/lib/muster/api-token" });
    const upgraded = await installed.helm.upgrade({ ...values, persistence: { enabled: false } });
    expect(upgraded).toContain("WARNING: persistence.enabled=false");
  });
});

describe("a hub that does not get ready", () => {
  it("is replaced by a corrected upgrade", async () => {
    // No kubelet runs here: a pod stays Pending for ever.
    const controllers = await startKubeControllerManager(apiserver, ["statefulset-controller"]);
    try {
      const values = (url: string) => ({ config: { sources: SOURCES, nats: { url } }, fullnameOverride: "hub" });
      const pod = () => apiserver.admin.get<{ metadata: { uid: string } }>("/api/v1/namespaces/stuck/pods/hub-0");
      const { helm } = await installChart({ apiserver, chart: "hub", release: "hub", namespace: "stuck", values: values("nats://wrong") });
      await eventually(async () => expect(await pod()).toBeDefined(), { timeoutMs: 45_000 });
      const first = await pod();
      await helm.upgrade(values("nats://right"));
      await eventually(async () => expect([undefined, first?.metadata.uid]).not.toContain((await pod())?.metadata.uid), {
        timeoutMs: 45_000,
      });
    } finally {
      await controllers.stop();
    }
  });
});

describe("the values of the hub chart", () => {
  const release = helmRelease({ chart: "hub", release: "x", namespace: NAMESPACE });

  it("pass a strict lint, few or all", async () => {
    await release.lint({ config: { sources: SOURCES, nats: { url: "nats://nats:4222" } } });
    await release.lint(FULL);
  });

  it("take every form of a Kubernetes quantity", async () => {
    const limits = { cpu: "250m", memory: "512Ki", "ephemeral-storage": "1e3", "example.com/gpu": 1.5 };
    await release.lint({ ...withSources(SOURCES), resources: { limits }, persistence: { size: "1.5" }, tmpSizeLimit: "1Gi" });
  });

  it("make names that Kubernetes takes of the longest release name", async () => {
    const long = helmRelease({ chart: "hub", release: "a".repeat(53), namespace: NAMESPACE });
    const names = (await objectsOf(long, withSources(SOURCES))).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    const base = "a".repeat(52);
    expect(names).toEqual(expect.arrayContaining([`ConfigMap ${base}-config`, `PersistentVolumeClaim ${base}-data`]));
    // 63 for a Service; for a StatefulSet 11 less, for the hash in a label of its pods.
    expect(names).toEqual(expect.arrayContaining([`Service ${base}-api`, `StatefulSet ${base}`]));
  });

  it("switch the probes to HTTPS wherever the certificate comes from", async () => {
    const tls = { certFile: "/certificates/tls.crt", keyFile: "/certificates/tls.key" };
    const config = { sources: SOURCES, nats: { url: "nats://nats:4222" } };
    for (const values of [{ config, apiTls: { existingSecret: "tls" } }, { config: { ...config, http: { tls } } }]) {
      const statefulSet = (await objectsOf(release, values)).find(({ kind }) => kind === "StatefulSet");
      const text = JSON.stringify(statefulSet);
      expect(text.match(/"scheme":"HTTPS"/g)).toHaveLength(3);
      expect(text).not.toContain("MUSTER_URL");
    }
  });

  it.each([
    ["no NATS", { config: { sources: SOURCES } }, /config\.nats\.url is required/],
    ["no source", withSources([]), /config\.sources is empty/],
    ["an unknown setting", { config: { nats: { url: "nats://n" }, gprc: {} } }, /additional properties 'gprc' not allowed/],
    ["credentials in a Git URL", withSources([{ name: "a", url: "https://me:secret@git.example/a.git" }]), /url/],
    ["SSH", withSources([{ name: "a", url: "ssh://git.example/a.git" }]), /url/],
    [
      "two sources of one name",
      withSources([
        { name: "a", url: "https://g/a" },
        { name: "a", url: "https://g/b" },
      ]),
      /two sources with the name "a"/,
    ],
    [
      "credentials for no source",
      { ...withSources(SOURCES), sourceCredentials: { b: { existingSecret: "s" } } },
      /"b", which is no source/,
    ],
    [
      "a lease that one late heartbeat ends",
      withConfig({ grpc: { leaseMs: 20_000 } }),
      /leaseMs is 20000 and must be at least 30000, twice/,
    ],
    ["a port that is none", withConfig({ grpc: { listen: "0.0.0.0:65536" } }), /grpc\/listen/],
    ["a port of NATS that is none", withConfig({ nats: { url: "nats://nats:70000" } }), /nats\/url/],
    ["a unit that is none", { ...withSources(SOURCES), resources: { limits: { memory: "512ki" } } }, /limits\/memory/],
    ["a size without a digit", { ...withSources(SOURCES), tmpSizeLimit: "." }, /tmpSizeLimit/],
    ["a name that is no DNS label", { ...withSources(SOURCES), fullnameOverride: "Hub_1" }, /fullnameOverride/],
    ["a name that is too long", { ...withSources(SOURCES), fullnameOverride: "a".repeat(53) }, /fullnameOverride/],
    ["an Ingress without a host", { ...withSources(SOURCES), ingress: { enabled: true } }, /ingress\.hosts is empty/],
  ])("are refused with a sentence that helps: %s", async (_, values, message) => {
    await expect(release.template(values)).rejects.toThrow(message);
  });
});

function withSources(sources: object[]): object {
  return withConfig({ sources });
}

function withConfig(config: object): object {
  return { config: { nats: { url: "nats://nats:4222" }, sources: SOURCES, ...config } };
}

async function objectsOf(release: HelmRelease, values: object): Promise<{ kind: string; metadata: { name: string } }[]> {
  const documents = parseAllDocuments(await release.template(values));
  return documents
    .map((document) => document.toJS() as { kind: string; metadata: { name: string } } | null)
    .filter((each) => each !== null);
}
