import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTempFolder } from "../../test/rig/temp-folder.ts";
import { loadHubConfig, parseHubConfig } from "./config.ts";

const SOURCES = [{ name: "fleet", url: "https://git.example/fleet.git" }];
let folder: ReturnType<typeof createTempFolder>;
beforeAll(() => {
  folder = createTempFolder("config");
});
afterAll(() => folder.remove());

/** The message of what is refused; undefined: it is taken. */
function refusal(value: unknown, environment: Record<string, string> = {}): string | undefined {
  try {
    parseHubConfig(value, environment, "hub.yaml");
    return undefined;
  } catch (error) {
    expect(error).toMatchObject({ code: "CONFIG_INVALID", at: { file: "hub.yaml" } });
    return (error as Error).message;
  }
}

describe("the hub's configuration", () => {
  it("needs a source and nothing else", () => {
    expect(parseHubConfig({ sources: SOURCES })).toMatchObject({
      trustDomain: "muster.local",
      dataDir: "/var/lib/muster",
      sources: [{ name: "fleet", ref: "main", path: ".", pollIntervalMs: 30_000, timeoutMs: 600_000 }],
      nats: { url: "nats://nats:4222" },
      grpc: {
        listen: "0.0.0.0:8443",
        enrolListen: "0.0.0.0:8444",
        serverNames: ["muster-hub"],
        leaseMs: 90_000,
        heartbeatIntervalMs: 15_000,
      },
      identity: { certificateDays: 30, natsHours: 24 },
      http: { listen: "0.0.0.0:8080" },
      render: { concurrency: 2, timeoutMs: 30_000, networkIsolation: "prefer" },
      publish: { auditIntervalMs: 30_000, blobGracePeriodMs: 3_600_000, replicas: 1 },
      log: { level: "info" },
    });
  });

  it.each<[string, unknown, string]>([
    ["no source", {}, "sources: "],
    ["an empty list of sources", { sources: [] }, "sources: at least one source is needed"],
    ["an unknown key", { sources: SOURCES, natz: {} }, "natz"],
    ["an unknown key of a section", { sources: SOURCES, grpc: { lease: 1 } }, "grpc: "],
    ["an unknown key of a source", { sources: [{ ...SOURCES[0], branch: "main" }] }, "sources.0: "],
    ["a source without URL", { sources: [{ name: "fleet" }] }, "sources.0.url: "],
    ["a source's name that is no name", { sources: [{ ...SOURCES[0], name: "../x" }] }, "sources.0.name: is no name"],
    ["two sources of one name", { sources: [SOURCES[0], SOURCES[0]] }, "sources: two have the same name"],
    ["an address without port", { sources: SOURCES, http: { listen: "localhost" } }, "http.listen: is not host:port"],
    ["a duration as a word", { sources: SOURCES, grpc: { leaseMs: "90s" } }, "grpc.leaseMs: "],
    ["a lease that one late heartbeat ends", { sources: SOURCES, grpc: { leaseMs: 20_000 } }, "grpc.leaseMs: must be at least twice"],
    ["a duration below its least", { sources: SOURCES, publish: { auditIntervalMs: 0 } }, "publish.auditIntervalMs: "],
    ["a level that there is not", { sources: SOURCES, log: { level: "loud" } }, "log.level: "],
    ["an isolation that there is not", { sources: SOURCES, render: { networkIsolation: "never" } }, "render.networkIsolation: "],
    ["a certificate without key", { sources: SOURCES, http: { tls: { certFile: "a" } } }, "http.tls.keyFile: "],
    ["a trust domain with a slash", { sources: SOURCES, trustDomain: "a/b" }, "trustDomain: is no trust domain"],
    ["an empty section", { sources: SOURCES, nats: null }, "nats: "],
    ["a list", [1], "the file: "],
    ["a word", "sources", "the file: "],
    ["nothing", null, "the file: "],
  ])("is refused with %s, and the setting is named", (_, value, named) => {
    expect(refusal(value)).toContain(named);
    expect(refusal(value, { MUSTER_HUB_DATA_DIR: "/data", MUSTER_HUB_RENDER_HELM: "/helm" })).toContain(named);
  });

  it.each(["nats://ada:canary-secret@nats:4222", "canary-secret@nats", "tls://a:4222, tls://canary-secret@b:4222"])(
    "takes no secret in the URL of NATS (%s), from the file or the environment, and does not repeat it",
    (url) => {
      for (const message of [refusal({ sources: SOURCES, nats: { url } }), refusal({ sources: SOURCES }, { MUSTER_HUB_NATS_URL: url })]) {
        expect(message).toContain("nats.url: must not hold a user, password or token");
        expect(message).not.toContain("canary");
      }
    },
  );

  it.each(["https://git.example/fleet.git?token=canary", "https://git.example/fleet.git#canary"])(
    "takes no query and no fragment in the URL of a source (%s), and does not repeat it",
    (url) => {
      const message = refusal({ sources: [{ ...SOURCES[0], url }] });
      expect(message).toContain("sources.0.url: must have no query");
      expect(message).not.toContain("canary");
    },
  );

  it("names everything that is wrong at once", () => {
    const message = refusal({ sources: SOURCES, http: { listen: "x" }, log: { level: "loud" }, more: 1 });
    for (const named of ["hub.yaml", "http.listen", "log.level", "more"]) expect(message).toContain(named);
  });

  it("gives way to the environment, setting by setting, and the environment is checked just the same", () => {
    const value = { sources: SOURCES, nats: { url: "nats://a:4222", caFile: "/ca.pem" } };
    const environment = {
      MUSTER_HUB_NATS_URL: "nats://b:4222",
      MUSTER_HUB_GRPC_LISTEN: "[::1]:9",
      MUSTER_HUB_DATA_DIR: "/data",
      MUSTER_HUB_HTTP_LISTEN: "",
    };
    const config = parseHubConfig(value, environment);
    expect([config.nats, config.grpc.listen, config.dataDir, config.http.listen]).toEqual([
      { url: "nats://b:4222", caFile: "/ca.pem" },
      "[::1]:9",
      "/data",
      "0.0.0.0:8080",
    ]);
    expect(value.nats.url).toBe("nats://a:4222");
    expect(refusal(value, { MUSTER_HUB_GRPC_LISTEN: "nowhere" })).toContain("grpc.listen");
  });

  it("treats an empty path of a file as none, as charts leave it", () => {
    const config = parseHubConfig({ sources: [{ ...SOURCES[0], credentialsFile: "", caFile: "" }], nats: { credsFile: "", caFile: "" } });
    expect([config.sources[0]?.credentialsFile, config.sources[0]?.caFile]).toEqual([undefined, undefined]);
    expect([config.nats.credsFile, config.nats.caFile]).toEqual([undefined, undefined]);
  });

  it("is read from a YAML file; one that is missing, empty or no YAML is named", () => {
    const path = join(folder.path, "hub.yaml");
    writeFileSync(path, "sources: [{ name: fleet, url: https://git.example/fleet.git }]\n");
    expect(loadHubConfig(path).sources).toHaveLength(1);
    for (const text of ["sources: [", "", "a: &a [*a]\nsources: *b"]) {
      writeFileSync(path, text);
      expect(() => loadHubConfig(path)).toThrow(
        expect.objectContaining({ code: "CONFIG_INVALID", message: expect.stringContaining(path) }),
      );
    }
    const missing = join(folder.path, "missing.yaml");
    expect(() => loadHubConfig(missing)).toThrow(
      expect.objectContaining({ code: "CONFIG_INVALID", message: expect.stringContaining("missing.yaml") }),
    );
  });
});
