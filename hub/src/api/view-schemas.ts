import { z } from "zod";

/** The JSON of the API, as OpenAPI shows it. The types are those of `status/views.ts`; a test holds both together. */
const sync = z.enum(["Synced", "Progressing", "Pending", "OutOfSync", "Failed", "Paused", "Unknown"]);
const health = z.enum(["Current", "InProgress", "Failed", "Terminating", "NotFound", "Unknown"]);
const freshness = z.enum(["Live", "Stale", "Never"]);
const labels = z.record(z.string(), z.string());
const text = z.string();

export const CONDITION = z
  .object({ type: text, status: z.enum(["True", "False"]), reason: text, message: text, at: text.optional(), since: text })
  .meta({ id: "Condition" });
export const OBJECT_REF = z.object({ group: text, kind: text, namespace: text, name: text }).meta({ id: "ObjectRef" });
export const DRIFT_DETAIL = z
  .object({
    kind: z.enum(["modified", "missing", "unexpected"]),
    manager: text.optional(),
    at: text.optional(),
    paths: z.array(text),
    fields: z
      .array(
        z.object({
          path: text,
          wanted: text.optional().describe("As Git has it; absent: not at all, or in another form"),
          got: text.optional().describe("As it is; absent: not at all"),
          manager: text.optional().describe("Who changed this one, where it was not as with the drift as a whole"),
          at: text.optional(),
        }),
      )
      .optional()
      .describe("Values of the first fields, as JSON that is cut and masked; absent if the agent is to tell none"),
  })
  .meta({ id: "DriftDetail", description: "Who changed which fields, and what of." });
const exceptionFields = {
  ref: OBJECT_REF,
  bundle: text,
  health,
  code: text.optional(),
  message: text.optional(),
  drift: DRIFT_DETAIL.optional(),
};
export const EXCEPTION = z.object(exceptionFields).meta({ id: "ObjectException" });
const counts = { total: z.int(), synced: z.int(), healthy: z.int(), drifted: z.int(), failed: z.int() };
const heldDeletion = z.object({ id: text, objects: z.int(), sample: z.array(OBJECT_REF), message: text });

export const AGENT = z
  .object({
    cluster: text,
    state: z.enum(["Enrolled", "Pending", "Invited", "None"]),
    fingerprint: text.optional().describe("SHA-256 of the public key of its certificate, hexadecimal"),
    identity: z
      .object({ tls: text, nats: text, encryption: text })
      .optional()
      .describe("Its public keys, as spec.identity of a Cluster document takes them"),
    origin: z.enum(["token", "approval", "git", "certificate", "renewal"]).optional(),
    since: text.optional(),
    certificateEndsAt: text.optional(),
    pending: z.object({ fingerprint: text, reason: z.enum(["another-identity", "expired"]), since: text }).optional(),
    token: z.object({ expiresAt: text, createdBy: text }).optional(),
    revoked: z.int().describe("Identities that must not act for it any more"),
    connected: z.boolean(),
  })
  .meta({ id: "Agent", description: "Who acts for a cluster, and who wants to." });

export const JOIN = z
  .object({
    cluster: text,
    token: text.describe("A secret, shown this once"),
    expiresAt: text,
    trustDomain: text,
    hubAddress: text,
    enrolAddress: text,
    natsUrl: text,
    ca: text,
    natsCa: text.optional(),
    signingKeys: text,
  })
  .meta({ id: "Join", description: "What a new agent needs to enrol." });

export const CLUSTER = z
  .object({
    name: text,
    labels,
    paused: z.boolean(),
    freshness,
    lastHeard: text.optional(),
    connected: z.boolean(),
    sync,
    health,
    targets: z.object(counts),
    desiredGeneration: z.int().optional(),
    appliedGeneration: z.int().optional(),
    revision: text.optional(),
    agentVersion: text.optional(),
    kubernetesVersion: text.optional(),
    heldDeletion: heldDeletion.optional(),
    sliceProblem: z.object({ code: text, message: text }).optional(),
    conditions: z.array(CONDITION),
  })
  .meta({ id: "Cluster" });
const targetFields = {
  bundle: text,
  cluster: text,
  labels,
  sync,
  health,
  freshness,
  objects: z.int(),
  drifted: z.int(),
  failed: z.int(),
  desired: text.optional(),
  applied: text.optional(),
  revision: text.optional(),
  reason: text.optional(),
  message: text.optional(),
  blockedBy: z
    .array(text)
    .optional()
    .describe("What the bundle waits for on this cluster: bundles, and `bundle: object: expression` for what readiness asks of one"),
  conditions: z.array(CONDITION),
};
export const TARGET = z.object(targetFields).meta({ id: "Target" });
const ownership = { adoption: text.optional(), onRemoval: text.optional(), serviceAccount: text.optional() };
export const TARGET_DETAIL = z
  .object({
    ...targetFields,
    exceptions: z.array(EXCEPTION),
    source: text.optional(),
    directory: text.optional(),
    layers: z.array(text),
    driftMode: text,
    ...ownership,
  })
  .meta({ id: "TargetDetail" });
export const BUNDLE = z
  .object({
    name: text,
    source: text,
    directory: text,
    targets: z.object({ ...counts, unknown: z.int() }),
    dependsOn: z.array(text),
    blockedBy: z.array(text).optional().describe("What it waits for on some cluster, as targets say it; at most 20"),
    driftMode: text,
    ...ownership,
    conditions: z.array(CONDITION),
  })
  .meta({ id: "Bundle" });
export const DRIFT = z.object({ ...exceptionFields, cluster: text, labels, freshness, since: text }).meta({ id: "Drift" });
export const REVISION = z
  .object({
    revision: text,
    at: text,
    subject: text,
    author: text,
    publishedSlices: z.int(),
    problems: z.int(),
    current: z.boolean(),
    clusters: z.object({ total: z.int(), applied: z.int() }),
  })
  .meta({ id: "Revision" });
export const EVENT = z
  .object({
    id: z.int(),
    at: text,
    type: text,
    severity: z.enum(["info", "warning"]),
    cluster: text.optional(),
    bundle: text.optional(),
    object: text.optional(),
    message: text,
  })
  .meta({ id: "Event" });
const SOURCE = z
  .object({ name: text, url: text, ref: text, commit: text.optional(), fetchedAt: text.optional(), conditions: z.array(CONDITION) })
  .meta({ id: "Source" });
export const FLEET = z
  .object({
    healthy: z.boolean(),
    revision: text.optional(),
    clusters: z.object({ total: z.int(), live: z.int(), stale: z.int(), never: z.int(), synced: z.int(), healthy: z.int() }),
    targets: z.object({ ...counts, unknown: z.int() }),
    sources: z.array(SOURCE),
    problems: z.array(CONDITION),
  })
  .meta({ id: "Fleet" });
const INSPECTED = z
  .object({
    ref: OBJECT_REF,
    bundle: text,
    health,
    message: text,
    uid: text,
    lastAction: text,
    sharedWith: z
      .array(z.object({ manager: text, paths: z.array(text) }))
      .optional()
      .describe("Managers that own fields of the object together with Muster: these stay when they leave Git"),
    drift: DRIFT_DETAIL.optional(),
  })
  .meta({ id: "InspectedObject" });
export const INSPECTION = z.object({
  items: z.array(INSPECTED),
  truncated: text.optional().describe("What the agent says of the objects that found no place in its answer; absent if all are here"),
});
export const ERROR = z.object({ error: z.object({ code: text, message: text, hint: text }) }).meta({ id: "Error" });
export const listOf = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), continue: text.optional(), total: z.int() });
