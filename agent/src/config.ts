import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { CodedError } from "@muster/shared/errors";
import { CLUSTER_NAME_PATTERN } from "@muster/shared/model";
import { z } from "zod";

/** Where the kubelet puts the pod's namespace. */
const NAMESPACE_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

const optional = z
  .string()
  .optional()
  .transform((value) => (value === "" ? undefined : value));
const milliseconds = (fallback: number) => z.coerce.number().int().min(100).max(86_400_000).default(fallback);

/** The agent's settings, all from the environment; secrets are file paths, never values. */
const FIELDS = z.object({
  /** Name of this cluster, as Git declares it. */
  MUSTER_CLUSTER: z.string().regex(CLUSTER_NAME_PATTERN, "is no cluster name (lower case letters, digits and -, at most 63)"),
  /** Trust domain of the hub. */
  MUSTER_TRUST_DOMAIN: z.string().min(1).default("muster.local"),
  /** The agent's own namespace; default: the pod's. */
  MUSTER_NAMESPACE: optional,
  /** One or more, separated by commas. They stand in logs, so nothing secret may. */
  MUSTER_NATS_URL: z
    .string()
    .min(1)
    .regex(/^[^@]*$/, "must not hold a user, password or token; credentials belong into the file that MUSTER_NATS_CREDS_FILE names"),
  MUSTER_NATS_CREDS_FILE: optional,
  MUSTER_NATS_CA_FILE: optional,
  /** host:port of the hub's gRPC. */
  MUSTER_HUB_ADDRESS: z.string().regex(/^[^:/]+:\d+$/, "is not host:port"),
  MUSTER_HUB_CA_FILE: z.string().min(1),
  MUSTER_HUB_SERVER_NAME: optional,
  /** host:port where the agent enrols, and gets its credentials anew; then it needs none of the files below. */
  MUSTER_ENROL_ADDRESS: z
    .string()
    .regex(/^[^:/]+:\d+$/, "is not host:port")
    .optional(),
  /** The one-time token, for the first time. */
  MUSTER_ENROL_TOKEN_FILE: optional,
  /** Credentials that somebody else has made, in place of an enrolment. */
  MUSTER_CERT_FILE: optional,
  MUSTER_KEY_FILE: optional,
  /** PEM file with the public keys that may sign slices. */
  MUSTER_SIGNING_KEYS_FILE: z.string().min(1),
  /** Comma-separated; empty: the whole cluster. */
  MUSTER_WATCH_NAMESPACES: z
    .string()
    .default("")
    .transform((text) =>
      text
        .split(",")
        .map((name) => name.trim())
        .filter((name) => name !== ""),
    ),
  MUSTER_POLL_INTERVAL_MS: milliseconds(30_000),
  MUSTER_RELIST_INTERVAL_MS: milliseconds(300_000),
  /** Applies at once. */
  MUSTER_CONCURRENCY: z.coerce.number().int().min(1).max(64).default(16),
  /** false: the hub is told which fields have drifted and who did it, and no value of them. */
  MUSTER_DRIFT_VALUES: z
    .enum(["true", "false"])
    .default("true")
    .transform((text) => text === "true"),
  /** JSON file with what this cluster lets its agent do; absent: all that its roles allow. */
  MUSTER_POLICY_FILE: optional,
  /** A folder that outlives a restart of the process, where it notes what it is at; empty: nothing is noted. */
  MUSTER_WORK_DIR: optional,
  MUSTER_LOG_LEVEL: z.enum(["trace", "debug", "info", "warn", "error"]).default("info"),
  /** host:port for /healthz, /readyz and /metrics; empty: off. */
  MUSTER_METRICS_LISTEN: z.string().default(":8081"),
  /** For tests: where the process shall fail, and how; see `createFailpoints`. */
  MUSTER_FAILPOINTS: optional,
  /** Outside of a cluster. */
  KUBECONFIG: optional,
  /** Set by the kubelet in every pod. */
  KUBERNETES_SERVICE_HOST: optional,
});

const SCHEMA = FIELDS.refine(({ KUBECONFIG: file, KUBERNETES_SERVICE_HOST: host }) => file || host, {
  path: ["KUBECONFIG"],
  message: "is not set, and this is no pod (KUBERNETES_SERVICE_HOST is not set either)",
})
  .refine(({ MUSTER_ENROL_ADDRESS: enrol, MUSTER_CERT_FILE: cert, MUSTER_KEY_FILE: key }) => enrol || (cert && key), {
    path: ["MUSTER_ENROL_ADDRESS"],
    message: "is not set, and neither are MUSTER_CERT_FILE and MUSTER_KEY_FILE: the agent needs one of the two",
  })
  .refine(
    // TLS asks for names only (RFC 6066, section 3), so with an address the name must be told.
    ({ MUSTER_HUB_ADDRESS: address, MUSTER_HUB_SERVER_NAME: name }) => name || !isIP(address.split(":")[0] ?? ""),
    {
      path: ["MUSTER_HUB_ADDRESS"],
      message: "is an IP address; then MUSTER_HUB_SERVER_NAME (chart: hub.serverName) must be a name in the hub's certificate",
    },
  );

/** Settings of the agent, with their defaults filled in. */
export type AgentConfig = z.output<typeof SCHEMA> & { readonly namespace: string };

/** Reads the settings. Throws CONFIG_INVALID that names every variable that is wrong. */
export function loadConfig(environment: Readonly<Record<string, string | undefined>>): AgentConfig {
  const result = SCHEMA.safeParse(environment);
  if (!result.success) {
    const issues = result.error.issues.map((issue) => {
      const name = issue.path.join(".");
      return `${name} ${environment[name] === undefined && issue.code === "invalid_type" ? "is not set" : issue.message}`;
    });
    throw new CodedError("CONFIG_INVALID", `The agent's settings are not valid: ${issues.join("; ")}`);
  }
  return { ...result.data, namespace: result.data.MUSTER_NAMESPACE ?? podNamespace() };
}

function podNamespace(): string {
  try {
    return readFileSync(NAMESPACE_FILE, "utf8").trim();
  } catch (cause) {
    throw new CodedError("CONFIG_INVALID", "MUSTER_NAMESPACE is not set, and this is not a pod that could tell it", { cause });
  }
}
