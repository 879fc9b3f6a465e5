import type { Manifest } from "@muster/shared/model";
import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { loadConfig } from "../../agent/src/config.ts";
import { helmRelease } from "./helm.ts";

/** Values in the shape that `muster cluster join` prints. */
function joinValues(): Record<string, unknown> {
  const pem = "-----BEGIN SOMETHING-----\nAAAA\n-----END SOMETHING-----\n";
  return {
    cluster: { name: "eu-1" },
    trustDomain: "muster.test",
    hub: { address: "hub.example.com:8443", enrolAddress: "hub.example.com:8444", serverName: "" },
    nats: { url: "nats://nats.example.com:4222" },
    trust: { ca: pem, signingKeys: pem },
    enrolment: { token: `muster_join_${"A".repeat(43)}` },
  };
}

/** A Deployment, as far as its environment goes. */
interface Workload {
  readonly spec: { readonly template: { readonly spec: { readonly containers: readonly { readonly env: readonly EnvVar[] }[] } } };
}
interface EnvVar {
  readonly name: string;
  readonly value?: string;
}

describe("the values of the agent chart", () => {
  const release = helmRelease({ chart: "agent", release: "x", namespace: "muster-system" });

  it("pass a strict lint in every profile", async () => {
    const values = joinValues();
    for (const rbac of [
      { namespaces: ["web"] },
      { profile: "cluster" },
      { profile: "cluster", escalate: true },
      { namespaces: ["web"], rules: [{ verbs: ["get"] }] },
    ]) {
      await release.lint({ ...values, rbac });
    }
  });

  it("let the agent act as just the accounts that are named, each in its own namespace, and as none by default", async () => {
    const values = { ...joinValues(), rbac: { profile: "cluster" } };
    const rolesIn = async (more: object) =>
      parseAllDocuments(await release.template({ ...values, ...more }))
        .map((document) => document.toJS() as Manifest | null)
        .filter((object) => object !== null)
        .filter(({ metadata }) => metadata.name.endsWith("-impersonate"));
    expect(await rolesIn({})).toEqual([]);
    const serviceAccounts = [
      { namespace: "team-a", name: "deployer" },
      { namespace: "team-b", name: "deployer" },
      { namespace: "team-a", name: "db" },
    ];
    await release.lint({ ...values, impersonation: { serviceAccounts } });
    const made = await rolesIn({ impersonation: { serviceAccounts } });
    expect(made.map(({ kind, metadata }) => `${kind} ${metadata["namespace"]}`).sort()).toEqual([
      "Role team-a",
      "Role team-b",
      "RoleBinding team-a",
      "RoleBinding team-b",
    ]);
    const rule = { apiGroups: [""], resources: ["serviceaccounts"], verbs: ["impersonate"] };
    expect(made.filter(({ kind }) => kind === "Role").map((role) => role["rules"])).toEqual([
      [{ ...rule, resourceNames: ["db", "deployer"] }],
      [{ ...rule, resourceNames: ["deployer"] }],
    ]);
  });

  it("say whether values of drifted fields leave the cluster, in words that the agent reads", async () => {
    const values = { ...joinValues(), rbac: { namespaces: ["web"] } };
    const readBack = async (more: object) => {
      const objects = parseAllDocuments(await release.template({ ...values, ...more })).map((one) => one.toJS() as Manifest | null);
      const deployment = objects.find((object) => object?.kind === "Deployment") as unknown as Workload;
      const env = deployment.spec.template.spec.containers.flatMap((container) => container.env);
      // What the chart takes from the pod itself, the kubelet knows.
      const pod = { MUSTER_NAMESPACE: "muster-system", KUBERNETES_SERVICE_HOST: "10.96.0.1" };
      return loadConfig({ ...Object.fromEntries(env.map(({ name, value }) => [name, value])), ...pod }).MUSTER_DRIFT_VALUES;
    };
    expect(await readBack({})).toBe(true);
    expect(await readBack({ report: { driftValues: false } })).toBe(false);
    await expect(readBack({ report: { driftValues: "false" } })).rejects.toThrow(/report\/driftValues/);
  });

  it("take every form of a Kubernetes quantity, and a CA of NATS with comments before it", async () => {
    const limits = { cpu: "250m", memory: "512Ki", "ephemeral-storage": "1e3", "example.com/gpu": 1.5 };
    const trust = { natsCa: "# our CA\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" };
    await release.lint(merge(joinValues(), { rbac: { namespaces: ["web"] }, resources: { limits }, trust }));
  });

  it.each([
    ["no cluster", { cluster: { name: "" } }, /cluster\.name is required/],
    ["a name that is no cluster name", { cluster: { name: "Eu_1" } }, /cluster\/name/],
    ["an unknown value", { clutser: {} }, /additional properties 'clutser' not allowed/],
    ["no namespaces", { rbac: { namespaces: [] } }, /rbac\.namespaces is empty/],
    ["the agent's own namespace", { rbac: { namespaces: ["muster-system"] } }, /the agent's own namespace/],
    ["credentials in the URL of NATS", { nats: { url: "nats://user:password@nats:4222" } }, /nats\/url/],
    ["a port that is none", { hub: { address: "hub.example.com:65536" } }, /hub\/address/],
    ["a unit that is none", { resources: { limits: { memory: "512ki" } } }, /limits\/memory/],
    ["a name that is no DNS label", { fullnameOverride: "Agent_1" }, /fullnameOverride/],
    ["an image without a fixed tag", { image: { tag: "latest" } }, /image\/tag/],
    ["an account without a namespace", { impersonation: { serviceAccounts: [{ name: "x" }] } }, /impersonation\/serviceAccounts/],
    ["nobody to trust", { trust: { ca: "" } }, /trust\.ca is required.*muster cluster join/],
    ["a policy that is none", { policy: { namespaces: { allow: "web" } } }, /policy\/namespaces\/allow/],
    ["a token that is none", { enrolment: { token: "secret" } }, /enrolment\/token/],
  ])("are refused with a sentence that helps: %s", async (_, change, message) => {
    const values = { ...joinValues(), rbac: { namespaces: ["web"] } };
    await expect(release.template(merge(values, change))).rejects.toThrow(message);
  });
});

/** Deep, as helm merges values. */
function merge(base: object, change: object): object {
  const entries = Object.entries(change).map(([key, value]) => {
    const before = (base as Record<string, unknown>)[key];
    const both = [before, value].every((each) => typeof each === "object" && each !== null && !Array.isArray(each));
    return [key, both ? merge(before as object, value as object) : value];
  });
  return { ...base, ...Object.fromEntries(entries) };
}
