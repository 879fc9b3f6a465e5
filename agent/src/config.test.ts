import { CodedError } from "@muster/shared/errors";
import { describe, expect, it } from "vitest";
import { loadConfig } from "./config.ts";

const GOOD = {
  MUSTER_CLUSTER: "eu-1",
  MUSTER_NAMESPACE: "muster-system",
  MUSTER_NATS_URL: "nats://nats:4222",
  MUSTER_HUB_ADDRESS: "hub:8443",
  MUSTER_HUB_CA_FILE: "ca",
  MUSTER_CERT_FILE: "crt",
  MUSTER_KEY_FILE: "key",
  MUSTER_SIGNING_KEYS_FILE: "keys",
  KUBERNETES_SERVICE_HOST: "10.96.0.1",
};
const messageOf = (environment: Record<string, string | undefined>) => {
  try {
    loadConfig(environment);
    return "";
  } catch (error) {
    const coded = CodedError.from(error);
    return `${coded.code}: ${coded.message}`;
  }
};

describe("settings", () => {
  it("have defaults for all that is not particular to a cluster", () => {
    expect(loadConfig(GOOD)).toMatchObject({
      namespace: "muster-system",
      MUSTER_TRUST_DOMAIN: "muster.local",
      MUSTER_POLL_INTERVAL_MS: 30_000,
      MUSTER_WATCH_NAMESPACES: [],
    });
    expect(loadConfig({ ...GOOD, MUSTER_WATCH_NAMESPACES: "a, b,", MUSTER_NATS_CA_FILE: "" })).toMatchObject({
      MUSTER_WATCH_NAMESPACES: ["a", "b"],
      MUSTER_NATS_CA_FILE: undefined,
    });
  });

  it("a wrong one is named, every one that is", () => {
    expect(messageOf({ ...GOOD, MUSTER_CLUSTER: undefined, MUSTER_CONCURRENCY: "many" })).toMatch(
      /^CONFIG_INVALID: .*MUSTER_CLUSTER is not set.*MUSTER_CONCURRENCY (?!is not set)/,
    );
    expect(messageOf({ ...GOOD, MUSTER_CLUSTER: "a.b" })).toContain("MUSTER_CLUSTER is no cluster name");
    expect(messageOf({ ...GOOD, MUSTER_HUB_ADDRESS: "https://hub" })).toContain("MUSTER_HUB_ADDRESS is not host:port");
    expect(messageOf({ ...GOOD, MUSTER_HUB_ADDRESS: "10.0.0.5:8443" })).toContain("MUSTER_HUB_SERVER_NAME");
    expect(loadConfig({ ...GOOD, MUSTER_HUB_ADDRESS: "10.0.0.5:8443", MUSTER_HUB_SERVER_NAME: "hub" })).toMatchObject({
      MUSTER_HUB_SERVER_NAME: "hub",
    });
    expect(messageOf({ ...GOOD, MUSTER_NAMESPACE: undefined })).toContain("MUSTER_NAMESPACE is not set");
    expect(messageOf({ ...GOOD, MUSTER_NATS_URL: "" })).toContain("MUSTER_NATS_URL ");
    expect(messageOf({ ...GOOD, KUBERNETES_SERVICE_HOST: undefined })).toContain("KUBECONFIG is not set, and this is no pod");
    expect(loadConfig({ ...GOOD, KUBERNETES_SERVICE_HOST: undefined, KUBECONFIG: "file" })).toMatchObject({ KUBECONFIG: "file" });
  });

  it("let values of drifted fields leave the cluster unless that is turned off, in so many words", () => {
    const read = (text?: string) => loadConfig({ ...GOOD, MUSTER_DRIFT_VALUES: text }).MUSTER_DRIFT_VALUES;
    expect([read(), read("true"), read("false")]).toEqual([true, true, false]);
    // A wish for silence that nobody understands must not be taken for the default.
    for (const text of ["no", "False", "0"]) expect(messageOf({ ...GOOD, MUSTER_DRIFT_VALUES: text })).toContain("MUSTER_DRIFT_VALUES");
  });

  it.each(["nats://ada:canary-secret@nats:4222", "canary-secret@nats", "tls://a:4222, tls://canary-secret@b:4222"])(
    "hold no secret in the URL of NATS (%s), and it is not repeated",
    (url) => {
      const message = messageOf({ ...GOOD, MUSTER_NATS_URL: url });
      expect(message).toContain("MUSTER_NATS_URL must not hold a user, password or token");
      expect(message).not.toContain("canary");
    },
  );
});
