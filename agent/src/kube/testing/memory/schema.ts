import type { JsonObject, JsonValue } from "@muster/shared/model";

/** How the lists of one kind merge: `set`, or the keys that tell items apart. A list that is not named is replaced as a whole. */
export interface Schema {
  /** By path without indexes: `spec.template.spec.containers`. */
  readonly lists: Readonly<Record<string, "set" | readonly string[]>>;
  /** Maps that are replaced as a whole. */
  readonly atomic: ReadonlySet<string>;
  /** Names that a manifest may have at its top; undefined: any. */
  readonly top?: ReadonlySet<string>;
  /** Fields that no update may change, once they are set. */
  readonly immutable: readonly string[];
  /** What the server fills in where a manifest says nothing; changes what it is given. */
  readonly fill: (object: JsonObject) => void;
  /** `metadata.generation` counts changes of it. */
  readonly countsGenerations: boolean;
}

/** Where a value stands, and what merges there. */
export function mergeOf(schema: Schema, path: string): "granular" | "atomic" | "set" | readonly string[] {
  return schema.lists[path] ?? (schema.atomic.has(path) ? "atomic" : "granular");
}

const META: Schema["lists"] = { "metadata.finalizers": "set", "metadata.ownerReferences": ["uid"] };

const POD: Schema["lists"] = {
  "spec.template.spec.containers": ["name"],
  "spec.template.spec.containers.ports": ["containerPort", "protocol"],
  "spec.template.spec.containers.env": ["name"],
};

function schemaOf(parts: Partial<Omit<Schema, "top">> & { readonly top?: readonly string[] }): Schema {
  const { top, lists, ...rest } = parts;
  return {
    atomic: new Set(),
    immutable: [],
    fill: () => {},
    countsGenerations: false,
    ...rest,
    lists: { ...META, ...lists },
    ...(top && { top: new Set(["apiVersion", "kind", "metadata", ...top]) }),
  };
}

/** Of every kind that somebody has defined: maps merge, lists do not. */
export const CUSTOM = schemaOf({ countsGenerations: true });

/** By `group/Kind`. */
const SCHEMAS: Readonly<Record<string, Schema>> = {
  "/ConfigMap": schemaOf({ top: ["data", "binaryData", "immutable"] }),
  "/Secret": schemaOf({
    top: ["data", "stringData", "immutable", "type"],
    immutable: ["type"],
    fill: (secret) => set(secret, "type", "Opaque"),
  }),
  "/Namespace": schemaOf({ top: ["spec", "status"] }),
  "/Service": schemaOf({
    top: ["spec", "status"],
    lists: { "spec.ports": ["port", "protocol"] },
    atomic: new Set(["spec.selector"]),
    fill: fillService,
  }),
  "apps/Deployment": schemaOf({
    top: ["spec", "status"],
    lists: POD,
    atomic: new Set(["spec.selector"]),
    immutable: ["spec.selector"],
    countsGenerations: true,
    fill: fillDeployment,
  }),
  "rbac.authorization.k8s.io/ClusterRole": schemaOf({ top: ["rules", "aggregationRule"] }),
  "rbac.authorization.k8s.io/Role": schemaOf({ top: ["rules"] }),
  "rbac.authorization.k8s.io/RoleBinding": schemaOf({ top: ["roleRef", "subjects"], atomic: new Set(["roleRef"]), immutable: ["roleRef"] }),
  "coordination.k8s.io/Lease": schemaOf({ top: ["spec"] }),
  "apiextensions.k8s.io/CustomResourceDefinition": schemaOf({
    top: ["spec", "status"],
    immutable: ["spec.group", "spec.scope", "spec.names.kind", "spec.names.plural"],
    countsGenerations: true,
  }),
};

export function schemaFor(group: string, kind: string): Schema {
  return SCHEMAS[`${group}/${kind}`] ?? CUSTOM;
}

function set(object: JsonObject, key: string, value: JsonValue): void {
  if (object[key] === undefined) object[key] = value;
}

function fillService(object: JsonObject): void {
  const spec = object["spec"] as JsonObject | undefined;
  if (!spec) return;
  set(spec, "type", "ClusterIP");
  set(spec, "sessionAffinity", "None");
  for (const port of (spec["ports"] ?? []) as JsonObject[]) {
    set(port, "protocol", "TCP");
    set(port, "targetPort", port["port"] ?? 0);
  }
}

function fillDeployment(object: JsonObject): void {
  const spec = object["spec"] as JsonObject | undefined;
  if (!spec) return;
  set(spec, "replicas", 1);
  set(spec, "revisionHistoryLimit", 10);
  set(spec, "progressDeadlineSeconds", 600);
  set(spec, "strategy", { type: "RollingUpdate", rollingUpdate: { maxSurge: "25%", maxUnavailable: "25%" } });
  const pod = (spec["template"] as JsonObject | undefined)?.["spec"] as JsonObject | undefined;
  for (const container of (pod?.["containers"] ?? []) as JsonObject[]) {
    set(container, "imagePullPolicy", "IfNotPresent");
    for (const port of (container["ports"] ?? []) as JsonObject[]) set(port, "protocol", "TCP");
  }
}
