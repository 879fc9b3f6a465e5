import { readFileSync } from "node:fs";
import { CodedError } from "@muster/shared/errors";
import { parse } from "yaml";
import { z } from "zod";
import { SIGNATURE_MODES } from "./source/signatures/check-signature.ts";

const milliseconds = (fallback: number, least = 100) => z.int().min(least).max(86_400_000).default(fallback);
const optionalPath = z
  .string()
  .optional()
  .transform((value) => (value === "" ? undefined : value));
const address = z.string().regex(/^[^:/]+:\d+$/, "is not host:port");
const listen = z.string().regex(/^(\[[^\]]+\]|[^:]+):\d+$/, "is not host:port");

/** The hub's settings. One YAML file; every default is here. */
const SCHEMA = z.strictObject({
  /** Name of the trust domain; stands in every slice and certificate. */
  trustDomain: z
    .string()
    .regex(/^[a-z0-9.-]+$/, "is no trust domain")
    .default("muster.local"),
  /** Keys, certificates, tokens and clones. The keys are what must be backed up; the rest is rebuilt. */
  dataDir: z.string().min(1).default("/var/lib/muster"),
  /** Git repositories to watch. */
  sources: z
    .array(
      z.strictObject({
        name: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "is no name (lower case letters, digits and -)"),
        /** http or https, without credentials. It stands in messages, so nothing secret may. */
        url: z
          .string()
          .min(1)
          .regex(/^[^?#]*$/, "must have no query and no fragment; a token belongs into the file that credentialsFile names"),
        /** Branch, tag or full commit id. */
        ref: z.string().min(1).default("main"),
        /** Directory that is the fleet's root. */
        path: z.string().default("."),
        /** Milliseconds between two looks, ±10 %. A webhook makes the next one come at once. */
        pollIntervalMs: milliseconds(30_000, 1_000),
        /** YAML file with `username` and `password`, or `token`. */
        credentialsFile: optionalPath,
        /** Certificates (PEM) of a private authority, for an https URL; trusted in place of the public ones. */
        caFile: optionalPath,
        /** What of it must be signed, and by whom. An unsigned commit then holds the last good one. */
        verify: z
          .strictObject({
            /** The commit (head), the annotated tag that `ref` names (tag), or both (tagAndHead). */
            mode: z.enum(SIGNATURE_MODES).default("head"),
            /** `allowed_signers` file, as ssh-keygen(1) describes it. Read at every look. */
            allowedSignersFile: z.string().min(1),
          })
          .exactOptional(),
        /** Milliseconds for one look, with all that it downloads. 60 s without a byte end it in any case. */
        timeoutMs: milliseconds(600_000, 1_000),
      }),
    )
    .min(1, "at least one source is needed")
    .refine((sources) => new Set(sources.map(({ name }) => name)).size === sources.length, "two have the same name"),
  nats: z
    .strictObject({
      /** One or more, separated by commas. They stand in logs and events, so nothing secret may. */
      url: z
        .string()
        .min(1)
        .regex(/^[^@]*$/, "must not hold a user, password or token; credentials belong into the file that credsFile names")
        .default("nats://nats:4222"),
      /** What agents use, where it differs from `url`. */
      agentUrl: z
        .string()
        .min(1)
        .regex(/^[^@]*$/, "must not hold a user, password or token")
        .optional(),
      /**
       * For a NATS that is not set up with `muster-hub nats-config`: the account that agents are to be users of (ADR 0007 says what it must
       * import). The file holds the seed of the account, or of one of its signing keys; then `account` is the account's public key.
       */
      agentAccount: z
        .strictObject({
          seedFile: z.string().min(1),
          account: z
            .string()
            .regex(/^A[A-Z2-7]{55}$/, "is no public key of an account")
            .exactOptional(),
        })
        .exactOptional(),
      /** Default: the credentials that the hub made for itself. */
      credsFile: optionalPath,
      caFile: optionalPath,
    })
    .prefault({}),
  /** Where agents connect. */
  grpc: z
    .strictObject({
      listen: listen.default("0.0.0.0:8443"),
      /** Where new agents enrol, and those whose certificate has ended. Nothing else is served there. */
      enrolListen: listen.default("0.0.0.0:8444"),
      /** host:port at which agents reach `listen`. Default: the first of `serverNames`, with its port. */
      address: address.optional(),
      /** host:port at which agents reach `enrolListen`. Default: the first of `serverNames`, with its port. */
      enrolAddress: address.optional(),
      /** DNS names and addresses that agents use; the hub's certificate holds just these. */
      serverNames: z.array(z.string().min(1)).min(1).default(["muster-hub"]),
      /** Milliseconds without a message after which a cluster is Stale. */
      leaseMs: milliseconds(90_000),
      heartbeatIntervalMs: milliseconds(15_000),
    })
    // One late heartbeat must not make a healthy cluster Stale.
    .refine(({ leaseMs, heartbeatIntervalMs }) => leaseMs >= 2 * heartbeatIntervalMs, {
      path: ["leaseMs"],
      message: "must be at least twice heartbeatIntervalMs",
    })
    .prefault({}),
  /** What agents are given when they enrol, and how long it is good for. */
  identity: z
    .strictObject({
      /** Days. An agent renews at about 60 % of them. */
      certificateDays: z.int().min(1).max(365).default(30),
      /** Hours. What an agent may do in NATS ends with it, even where nobody can take it back earlier. */
      natsHours: z.int().min(1).max(24).default(24),
    })
    .prefault({}),
  /** Who may have the hub's keys by `muster hub backup`. */
  backup: z
    .strictObject({
      /** age recipients (age1…). None: only `muster-hub backup`, on the hub itself, makes backups. */
      recipients: z.array(z.string().regex(/^age1[a-z0-9]+$/, "is no age recipient (age1…)")).default([]),
    })
    .prefault({}),
  /** The operators' API. */
  http: z
    .strictObject({
      listen: listen.default("0.0.0.0:8080"),
      /** Default: api-token in dataDir, made at the first start. */
      tokenFile: optionalPath,
      /** Default: webhook-secret in dataDir, made at the first start. */
      webhookSecretFile: optionalPath,
      tls: z.strictObject({ certFile: z.string(), keyFile: z.string() }).optional(),
    })
    .prefault({}),
  render: z
    .strictObject({
      helm: z.string().default("helm"),
      kustomize: z.string().default("kustomize"),
      /** Milliseconds that one run may take. */
      timeoutMs: milliseconds(30_000),
      maxOutputBytes: z
        .int()
        .min(1024)
        .default(64 * 1024 * 1024),
      maxMemoryBytes: z
        .int()
        .min(16 * 1024 * 1024)
        .default(1024 * 1024 * 1024),
      /** Runs at the same time. */
      concurrency: z.int().min(1).max(64).default(2),
      /** For charts, while a cluster's agent has not reported its version. */
      kubernetesVersion: z.string().default("v1.36.0"),
      /**
       * Whether helm and kustomize must run in a network namespace of their own. `prefer`: where the kernel and the container allow it,
       * and a warning where not. `require`: else the hub does not start.
       */
      networkIsolation: z.enum(["prefer", "require"]).default("prefer"),
    })
    .prefault({}),
  publish: z
    .strictObject({
      /** Milliseconds between two comparisons of JetStream with what is in force. */
      auditIntervalMs: milliseconds(30_000),
      /** Milliseconds for which a manifest set that no slice needs is kept. */
      blobGracePeriodMs: milliseconds(3_600_000),
      /** Replicas of the streams. */
      replicas: z.int().min(1).max(5).default(1),
    })
    .prefault({}),
  log: z.strictObject({ level: z.enum(["trace", "debug", "info", "warn", "error"]).default("info") }).prefault({}),
});

/** Settings of the hub with their defaults filled in. */
export type HubConfig = z.output<typeof SCHEMA>;

/** Environment variables that win over the file, for what differs between two installations of one image. */
const OVERRIDES: Readonly<Record<string, readonly [string, string]>> = {
  MUSTER_HUB_NATS_URL: ["nats", "url"],
  MUSTER_HUB_GRPC_LISTEN: ["grpc", "listen"],
  MUSTER_HUB_HTTP_LISTEN: ["http", "listen"],
  MUSTER_HUB_LOG_LEVEL: ["log", "level"],
  MUSTER_HUB_RENDER_HELM: ["render", "helm"],
  MUSTER_HUB_RENDER_KUSTOMIZE: ["render", "kustomize"],
};

/** Reads the settings. Throws CONFIG_INVALID that names every setting that is wrong. */
export function loadHubConfig(path: string, environment: Readonly<Record<string, string | undefined>> = {}): HubConfig {
  let value: unknown;
  try {
    value = parse(readFileSync(path, "utf8")) ?? {};
  } catch (cause) {
    throw new CodedError("CONFIG_INVALID", `The configuration ${path} cannot be read: ${(cause as Error).message.split("\n")[0]}`, {
      cause,
      at: { file: path },
    });
  }
  return parseHubConfig(value, environment, path);
}

/** Checks settings that are there already. */
export function parseHubConfig(
  value: unknown,
  environment: Readonly<Record<string, string | undefined>> = {},
  path = "the configuration",
): HubConfig {
  const result = SCHEMA.safeParse(withOverrides(value, environment));
  if (result.success) return result.data;
  const issues = result.error.issues.map((issue) => `${issue.path.join(".") || "the file"}: ${issue.message}`);
  throw new CodedError("CONFIG_INVALID", `${path}: ${issues.join("; ")}`, { at: { file: path } });
}

/** What is no mapping stays as it is: the schema says what is wrong with it. */
function withOverrides(value: unknown, environment: Readonly<Record<string, string | undefined>>): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const settings = structuredClone(value) as Record<string, unknown>;
  for (const [variable, [section, key]] of Object.entries(OVERRIDES)) {
    const override = environment[variable];
    if (override) settings[section] = { ...(settings[section] as object | undefined), [key]: override };
  }
  if (environment["MUSTER_HUB_DATA_DIR"]) settings["dataDir"] = environment["MUSTER_HUB_DATA_DIR"];
  return settings;
}
