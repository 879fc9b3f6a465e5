import type { AgentMessage } from "@muster/shared/rpc";
import { createLifecycle, systemClock } from "@muster/shared/runtime";
import { createMetrics, silentLogger } from "@muster/shared/telemetry";
import { describe, expect, it, vi } from "vitest";
import { loadConfig } from "./config.ts";
import type { ResourceType } from "./kube/cluster.ts";
import { BUILT_IN, NAMESPACE } from "./kube/testing/memory/kinds.ts";
import { createMemoryApi } from "./kube/testing/memory/memory-api.ts";
import { createMemoryCluster } from "./kube/testing/memory/memory-cluster.ts";
import { configMap, createSliceMaker, type SliceMaker } from "./pull/testing/slice-maker.ts";
import type { HubStream } from "./report/hub-stream.ts";
import { startWriter } from "./start-writer.ts";

const ENVIRONMENT = {
  MUSTER_CLUSTER: "c1",
  MUSTER_NAMESPACE: "muster-system",
  MUSTER_NATS_URL: "nats://nats:4222",
  MUSTER_HUB_ADDRESS: "hub:8443",
  MUSTER_HUB_CA_FILE: "ca",
  MUSTER_CERT_FILE: "crt",
  MUSTER_KEY_FILE: "key",
  MUSTER_SIGNING_KEYS_FILE: "keys",
  KUBERNETES_SERVICE_HOST: "10.96.0.1",
};
const CONFIG_MAPS = BUILT_IN.find(({ kind }) => kind === "ConfigMap") as ResourceType;

/** NATS that has one slice. */
const pullerOf = (maker: SliceMaker, message: string) => ({
  connected: true,
  onMessage: (listener: (message: string) => void) => listener(message),
  poll: () => {},
  fetchBlob: maker.fetchBlob,
  run: async () => {},
});

/** A hub that welcomes everybody and remembers all that it is told. */
const hubThat = (heard: AgentMessage[]) => async (): Promise<HubStream> => ({
  write: (message) => {
    heard.push(message);
    return true;
  },
  onMessage: (listener) => queueMicrotask(() => listener({ welcome: { hubVersion: "1", heartbeatIntervalMs: 60_000 } })),
  onEnd: () => {},
  onDrain: () => {},
  close: () => {},
});

function clusterOfNamespaces(...names: readonly string[]) {
  const api = createMemoryApi({ wallMs: () => Date.now(), later: (work) => void setImmediate(work) });
  for (const name of names) api.create(NAMESPACE, { apiVersion: "v1", kind: "Namespace", metadata: { name } }, { manager: "test" });
  return { api, cluster: createMemoryCluster(api) };
}

const within = { timeout: 5_000 };
const VALUES = [{ path: ".data.value", wanted: '"canary-git"', got: '"canary-live"' }];

describe("MUSTER_DRIFT_VALUES", () => {
  it.each([
    ["unset", {}, VALUES],
    ["true", { MUSTER_DRIFT_VALUES: "true" }, VALUES],
    ["false", { MUSTER_DRIFT_VALUES: "false" }, []],
  ])("%s: the hub hears which field has drifted, and what it is and was to be unless that is off", async (_, setting, fields) => {
    const { api, cluster } = clusterOfNamespaces("muster-system", "web");
    const [maker, heard, logger] = [createSliceMaker(), [] as AgentMessage[], silentLogger()];
    const options = { drift: { mode: "report" as const, ignore: [] } };
    const { message } = maker.make([{ name: "a", objects: [configMap("x", "canary-git")], options }]);
    const lifecycle = createLifecycle({ logger, exit: () => {} });
    startWriter({
      ...{ logger, lifecycle, cluster, clock: systemClock, random: () => 0, metrics: createMetrics(), failpoint: () => {}, instance: "i" },
      config: loadConfig({ ...ENVIRONMENT, ...setting }),
      pinned: [maker.publicKey],
      puller: pullerOf(maker, message),
      openHub: hubThat(heard),
    });
    try {
      const states = () => heard.flatMap(({ status }) => status?.cluster?.bundles ?? []).map(({ state }) => state);
      await vi.waitFor(() => expect(states().at(-1)).toBe("Synced"), within);
      api.mergePatch(CONFIG_MAPS, "web", "x", { data: { value: "canary-live" } }, { manager: "kubectl-edit" });
      const drifts = () => heard.flatMap(({ status }) => status?.exceptions ?? []).flatMap(({ drift }) => drift ?? []);
      await vi.waitFor(() => expect(drifts()).toMatchObject([{ manager: "kubectl-edit", paths: [".data.value"], fields }]), within);
      expect(JSON.stringify(heard).includes("canary")).toBe(fields.length > 0);
    } finally {
      await lifecycle.stop();
    }
  });
});
