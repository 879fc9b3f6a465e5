import { CodedError } from "@muster/shared/errors";
import { compilePredicate, compileText } from "@muster/shared/expression";
import {
  Adoption,
  API_VERSION,
  BUNDLE_NAME_PATTERN,
  CLUSTER_NAME_PATTERN,
  DriftMode,
  OnRemoval,
  SelectorOperator,
} from "@muster/shared/model";
import { z } from "zod";
import { IGNORE_PRESETS, type IgnorePreset } from "./ignore-presets.ts";

/** Kubernetes' syntax of label keys and values (apimachinery, util/validation). */
const LABEL_NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const LABEL_PREFIX = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;

export function isLabelKey(key: string): boolean {
  const parts = key.split("/");
  const name = parts.pop() ?? "";
  return LABEL_NAME.test(name) && (parts.length === 0 || (parts.length === 1 && LABEL_PREFIX.test(parts[0] ?? "")));
}

export function isLabelValue(value: string): boolean {
  return value === "" || LABEL_NAME.test(value);
}

const labelKey = z.string().refine(isLabelKey, "is no label key");
const labelValue = z.string().refine(isLabelValue, "is no label value (at most 63 letters, digits, -, _ and .)");
const labels = z.record(labelKey, labelValue);

const requirement = z
  .strictObject({
    key: labelKey,
    operator: z.enum(Object.values(SelectorOperator)),
    values: z.array(labelValue).optional(),
  })
  .refine((entry) => (entry.operator === "In" || entry.operator === "NotIn") === (entry.values ?? []).length > 0, {
    message: "In and NotIn need values, Exists and DoesNotExist have none",
    params: { code: "FLEET_SELECTOR" },
  });

const selectorFields = { matchLabels: labels.optional(), matchExpressions: z.array(requirement).optional() };
const clusterName = z.string().regex(CLUSTER_NAME_PATTERN, "is no cluster name (lower case letters, digits and -, at most 63)");
const clustersFields = { clusters: z.array(clusterName).min(1) };
const allFields = { all: z.literal(true) };

/** One way to say which clusters: by labels, by name, or all. An empty selector is told apart by the reader. */
const clusterRule = z.strictObject({ ...selectorFields, clusters: clustersFields.clusters.optional(), all: allFields.all.optional() });

const path = z
  .string()
  .min(1)
  .refine((text) => !text.startsWith("/") && !text.split("/").includes(".."), {
    message: "leads out of the bundle",
    params: { code: "BUNDLE_PATH_ESCAPE" },
  });
const variableName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "is no variable name");
const variables = z.record(variableName, z.union([z.string(), z.number(), z.boolean()]));
const kubeName = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "is no Kubernetes name");

const helmLayer = z.strictObject({
  values: z.record(z.string(), z.unknown()).optional(),
  valuesFiles: z.array(path).optional(),
  releaseName: kubeName.optional(),
  releaseNamespace: kubeName.optional(),
});
const helm = helmLayer.extend({ chart: path.optional() });
const kustomize = z.strictObject({ path });
const patch = z.strictObject({
  target: z.strictObject({
    group: z.string().optional(),
    kind: z.string().optional(),
    namespace: z.string().optional(),
    name: z.string().optional(),
  }),
  patch: z.union([z.string(), z.array(z.record(z.string(), z.unknown())), z.record(z.string(), z.unknown())]),
});
/** RFC 1123 subdomain, at most 253 characters: names of API groups and of most objects. */
const subdomain = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/, "is no DNS name");
const group = z.union([z.literal(""), subdomain]);
const kind = z.string().regex(/^[A-Z][A-Za-z0-9]{0,62}$/, "is no kind");
/** CEL; longer ones belong into a controller. */
const cel = (compile: (text: string) => unknown) =>
  z
    .string()
    .min(1)
    .max(2_000)
    .superRefine((text, context) => {
      try {
        compile(text);
      } catch (error) {
        const { code, message } = CodedError.from(error);
        context.addIssue({ code: "custom", message, params: { code } });
      }
    });
const predicate = cel(compilePredicate);
const celText = cel(compileText);

const which = { group: z.string().optional(), kind: z.string().optional(), namespace: z.string().optional(), name: z.string().optional() };
const presetNames = Object.keys(IGNORE_PRESETS) as [IgnorePreset, ...IgnorePreset[]];
const ignore = z
  .strictObject({
    ...which,
    preset: z.enum(presetNames).optional(),
    when: predicate.optional(),
    paths: z.array(z.string().regex(/^\//, "is no JSON pointer")).min(1).optional(),
    managers: z.array(z.string().min(1).max(128)).min(1).optional(),
  })
  .refine(({ preset, paths, managers }) => (preset ?? paths ?? managers) !== undefined, "says neither a preset nor paths nor managers")
  .refine(
    ({ preset, group, kind, when, paths, managers }) => preset === undefined || (group ?? kind ?? when ?? paths ?? managers) === undefined,
    "a preset says itself which kinds and fields are meant; beside it stand namespace and name only",
  );
const drift = z.strictObject({
  // What stands as a bare `off` in YAML is read as false, by Kubernetes' rules.
  mode: z.union([z.enum(Object.values(DriftMode)), z.literal(false)]).optional(),
  ignore: z.array(ignore).optional(),
});
const adoption = z.enum(Object.values(Adoption));
const deletion = { prune: z.boolean().optional(), onRemoval: z.enum(Object.values(OnRemoval)).optional() };
const healthRule = z.strictObject({
  group: group.optional(),
  kind,
  current: predicate,
  failed: predicate.optional(),
  message: celText.optional(),
});
const readinessRule = z.strictObject({
  group: group.optional(),
  kind,
  namespace: kubeName.optional(),
  name: subdomain.optional(),
  expression: predicate,
});
const dependency = z.strictObject({
  bundle: z.string().regex(BUNDLE_NAME_PATTERN, "is no bundle name"),
  ready: z.array(readinessRule).min(1).max(100).optional(),
});
const budget = z.strictObject({ objects: z.int().min(0).optional(), percent: z.number().min(0).max(100).optional() });

const header = { apiVersion: z.literal(API_VERSION) };

/** A Fleet document: the fleet's defaults. */
export const FLEET_SCHEMA = z.strictObject({
  ...header,
  kind: z.literal("Fleet"),
  metadata: z.strictObject({ name: z.string().min(1) }),
  spec: z
    .strictObject({
      clusters: z.array(z.string().min(1)).optional(),
      bundles: z.array(z.string().min(1)).optional(),
      defaults: z
        .strictObject({
          drift: drift.optional(),
          deletion: z.strictObject({ ...deletion, budget: budget.optional() }).optional(),
          adoption: adoption.optional(),
          health: z.array(healthRule).max(100).optional(),
        })
        .optional(),
      deletion: z
        .strictObject({ approvals: z.array(z.string().regex(/^del-[0-9a-f]{16}$/, "is no id of a held deletion")).optional() })
        .optional(),
    })
    .optional(),
});

/** Public keys of a cluster's agent, as `muster get agent NAME -o yaml` shows them. */
const identity = z.strictObject({
  /** ECDSA P-256, SubjectPublicKeyInfo. */
  tls: z.string().regex(/^[A-Za-z0-9+/]{122}==$/, "is no P-256 public key in base64 (SubjectPublicKeyInfo)"),
  nats: z.string().regex(/^U[A-Z2-7]{55}$/, "is no public key of a NATS user"),
  /** X25519. */
  encryption: z.string().regex(/^[A-Za-z0-9+/]{43}=$/, "is no X25519 public key in base64"),
});

/** A Cluster document. */
export const CLUSTER_SCHEMA = z.strictObject({
  ...header,
  kind: z.literal("Cluster"),
  metadata: z.strictObject({ name: clusterName, labels: labels.optional() }),
  spec: z.strictObject({ variables: variables.optional(), paused: z.boolean().optional(), identity: identity.optional() }).nullish(),
});

/** A Bundle document; the directory it stands in is the bundle. */
export const BUNDLE_SCHEMA = z.strictObject({
  ...header,
  kind: z.literal("Bundle"),
  metadata: z.strictObject({
    name: z.string().regex(BUNDLE_NAME_PATTERN, "is no bundle name (lower case letters, digits and -, at most 63)"),
  }),
  spec: z.strictObject({
    targets: z.array(clusterRule).min(1),
    namespace: kubeName.optional(),
    createNamespace: z.enum(["never", "ifAbsent"]).optional(),
    paused: z.boolean().optional(),
    adoption: adoption.optional(),
    serviceAccount: z.strictObject({ namespace: kubeName, name: subdomain }).optional(),
    variables: variables.optional(),
    helm: helm.optional(),
    kustomize: kustomize.optional(),
    patches: z.array(patch).optional(),
    layers: z
      .array(
        z.strictObject({
          selector: clusterRule,
          variables: variables.optional(),
          namespace: kubeName.optional(),
          helm: helmLayer.optional(),
          kustomize: kustomize.optional(),
          patches: z.array(patch).optional(),
        }),
      )
      .optional(),
    dependsOn: z.array(dependency).optional(),
    health: z.array(healthRule).max(100).optional(),
    drift: drift.optional(),
    deletion: z.strictObject(deletion).optional(),
  }),
});

export type FleetDocument = z.output<typeof FLEET_SCHEMA>;
export type ClusterDocument = z.output<typeof CLUSTER_SCHEMA>;
export type BundleDocument = z.output<typeof BUNDLE_SCHEMA>;
export type ClusterRuleDocument = z.output<typeof clusterRule>;

/** The schemas by kind, as they are published in `shared/docs/schemas`. */
export const DOCUMENT_SCHEMAS = { Fleet: FLEET_SCHEMA, Cluster: CLUSTER_SCHEMA, Bundle: BUNDLE_SCHEMA } as const;
export type DocumentKind = keyof typeof DOCUMENT_SCHEMAS;
