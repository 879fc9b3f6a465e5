import { createHash } from "node:crypto";
import type { Manifest } from "@muster/shared/model";
import { RECREATE_ANNOTATION } from "../../agent/src/apply/recreate.ts";

/** Keeps an object that was deleted until the test releases it. */
export const FINALIZER = "chaos.example.com/hold";

/** The kinds that chaos has in Git, each with what is worth changing. All names begin with the lane's, which has a namespace of its own. */
export interface LaneObjects {
  readonly namespace: string;
  map(name: string, value: unknown, namespace?: string): Manifest;
  /** With a finalizer. */
  held(name: string, value: unknown): Manifest;
  /** A ConfigMap that cannot be changed, and may be deleted and made anew instead. */
  renewed(name: string, value: unknown, options?: { readonly held: boolean }): Manifest;
  secret(name: string, value: unknown): Manifest;
  deployment(name: string, value: unknown): Manifest;
  clusterRole(name: string, value: unknown): Manifest;
  definition(kind: string): Manifest;
  custom(kind: string, name: string, value: unknown): Manifest;
  /** A ConfigMap of half a MiB that does not compress well. */
  large(name: string, value: unknown): Manifest;
}

export function laneObjects(lane: string): LaneObjects {
  const namespace = `${lane}-web`;
  const group = `${lane}.chaos.example.com`;
  const map: LaneObjects["map"] = (name, value, where = namespace) => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace: where },
    data: { value: String(value) },
  });
  return {
    namespace,
    map,
    held: (name, value) => {
      const { metadata, ...rest } = map(name, value);
      return { ...rest, metadata: { ...metadata, finalizers: [FINALIZER] } } as Manifest;
    },
    renewed: (name, value, { held } = { held: false }) => {
      const { metadata, ...rest } = map(name, value);
      const annotations = { [RECREATE_ANNOTATION]: "onImmutable" };
      return { ...rest, immutable: true, metadata: { ...metadata, annotations, ...(held && { finalizers: [FINALIZER] }) } } as Manifest;
    },
    secret: (name, value) => ({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name, namespace },
      type: "Opaque",
      data: { value: Buffer.from(String(value)).toString("base64") },
    }),
    deployment: (name, value) => ({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name, namespace },
      spec: {
        replicas: 2,
        selector: { matchLabels: { app: name } },
        template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: "c", image: `example.com/app:${value}` }] } },
      },
    }),
    clusterRole: (name, value) => ({
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRole",
      metadata: { name: `${lane}-${name}` },
      rules: [{ apiGroups: [""], resources: ["configmaps"], resourceNames: [String(value)], verbs: ["get"] }],
    }),
    definition: (kind) => {
      const plural = `${kind.toLowerCase()}s`;
      const openAPIV3Schema = { type: "object", properties: { spec: { type: "object", "x-kubernetes-preserve-unknown-fields": true } } };
      return {
        apiVersion: "apiextensions.k8s.io/v1",
        kind: "CustomResourceDefinition",
        metadata: { name: `${plural}.${group}` },
        spec: {
          group,
          scope: "Namespaced",
          names: { plural, singular: kind.toLowerCase(), kind },
          versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema } }],
        },
      };
    },
    custom: (kind, name, value) => ({ apiVersion: `${group}/v1`, kind, metadata: { name, namespace }, spec: { value: String(value) } }),
    large: (name, value) => map(name, noise(`${name} ${value}`, 500_000)),
  };
}

function noise(seed: string, bytes: number): string {
  const parts: string[] = [];
  for (let index = 0; index * 88 < bytes; index++) parts.push(createHash("sha512").update(`${seed} ${index}`).digest("base64"));
  return parts.join("");
}
