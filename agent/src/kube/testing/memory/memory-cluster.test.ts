import { describe } from "vitest";
import { testApplyContract } from "../apply-contract.ts";
import { type ContractSubject, testClusterContract } from "../cluster-contract.ts";
import { NAMESPACE } from "./kinds.ts";
import { createMemoryApi } from "./memory-api.ts";
import { createMemoryCluster } from "./memory-cluster.ts";

function setUp(): ContractSubject {
  const api = createMemoryApi({ wallMs: () => Date.UTC(2026, 0, 1), later: (work) => void setImmediate(work) });
  api.create(NAMESPACE, { apiVersion: "v1", kind: "Namespace", metadata: { name: "default" } }, { manager: "test" });
  return {
    cluster: createMemoryCluster(api),
    namespace: "default",
    as: (manager) => ({
      apply: async (type, manifest) => api.apply(type, manifest, { manager, force: true }),
      create: async (type, manifest) => api.create(type, manifest, { manager }),
      mergePatch: async (type, namespace, name, patch) => api.mergePatch(type, namespace, name, patch, { manager }),
      delete: async (type, namespace, name) => api.delete(type, namespace, name, {}),
    }),
  };
}

describe("the Kubernetes client's contract, on an API server in memory", () => {
  const subject = setUp();
  testClusterContract(() => subject);
});

describe("the contract of server-side apply, on an API server in memory", () => {
  const subject = setUp();
  testApplyContract(() => subject);
});
