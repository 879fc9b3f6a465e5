import type { JsonObject, Manifest } from "@muster/shared/model";
import { ADOPT_ANNOTATION } from "../../agent/src/apply/adoption.ts";
import { RECREATE_ANNOTATION } from "../../agent/src/apply/recreate.ts";
import { PRUNE_ANNOTATION } from "../../agent/src/plan/prune-policy.ts";

/** Something that Git may have: one object, or a few that belong together. */
export interface Wish {
  manifests(value: number): Manifest[];
  /** Only ever in this bundle; default: in any. */
  readonly bundle?: string;
  /** Share of commits that touch it. Default 0.3. */
  readonly share?: number;
}

/** Where most objects live; it is there from the beginning, and nobody's. */
export const WEB = "web";

/** Keeps an object that was deleted until somebody else releases it. */
export const FINALIZER = "simulation.example.com/hold";

/** The group of the kinds that Git defines. */
const GROUP = "simulation.example.com";

function configMap(name: string, value: unknown, metadata: JsonObject = {}, namespace = WEB): Manifest {
  // From one value to the next a key comes or goes.
  const odd = Number(value) % 2 === 1 ? { odd: "yes" } : {};
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { ...metadata, name, namespace }, data: { value: String(value), ...odd } };
}

const map = (name: string, metadata: JsonObject = {}): Wish => ({ manifests: (value) => [configMap(name, value, metadata)] });
const annotated = (name: string, key: string, value: string) => map(name, { annotations: { [key]: value } });

function definition(kind: string): Manifest {
  const plural = `${kind.toLowerCase()}s`;
  const openAPIV3Schema = { type: "object", properties: { spec: { type: "object", "x-kubernetes-preserve-unknown-fields": true } } };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: "Namespaced",
      names: { plural, singular: kind.toLowerCase(), kind },
      versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema } }],
    },
  };
}

function custom(kind: string, name: string, value: unknown): Manifest {
  return { apiVersion: `${GROUP}/v1`, kind, metadata: { name, namespace: WEB }, spec: { value: String(value) } };
}

function deployment(name: string, value: number): Manifest {
  const ports = value % 3 === 0 ? [] : [{ containerPort: 80 }, { containerPort: 81 + (value % 2) }];
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: WEB },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: "c", image: `example.com/c:${value}`, ...(ports.length > 0 && { ports }) }] },
      },
    },
  };
}

const TABLE = {
  "map-1": map("map-1"),
  "map-2": map("map-2"),
  "map-3": map("map-3"),
  "map-4": map("map-4"),
  "map-5": map("map-5"),
  "map-6": map("map-6"),
  kept: { ...annotated("kept", PRUNE_ANNOTATION, "disabled"), share: 0.15 },
  shielded: { ...annotated("shielded", PRUNE_ANNOTATION, "protect"), share: 0.1 },
  adopted: { ...annotated("adopted", ADOPT_ANNOTATION, "always"), share: 0.15 },
  theirs: { ...map("theirs"), share: 0.15 },
  held: { ...map("held", { finalizers: [FINALIZER] }), share: 0.2 },
  renewed: {
    share: 0.2,
    manifests: (value) => [
      { ...configMap("renewed", value, { annotations: { [RECREATE_ANNOTATION]: "onImmutable" } }), immutable: true } as Manifest,
    ],
  },
  secret: {
    manifests: (value) => [
      {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: "secret", namespace: WEB },
        type: "Opaque",
        data: { value: Buffer.from(String(value)).toString("base64") },
      },
    ],
  },
  web: { manifests: (value) => [deployment("web", value)] },
  claim: {
    share: 0.08,
    manifests: (value) => [
      {
        apiVersion: "v1",
        kind: "PersistentVolumeClaim",
        metadata: { name: "claim", namespace: WEB },
        spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: `${1 + value}Gi` } } },
      },
    ],
  },
  service: {
    share: 0.15,
    manifests: (value) => [
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: "web", namespace: WEB },
        spec: {
          selector: { app: "web" },
          ports: [{ name: "http", port: 80 + (value % 2) }, ...(value % 3 === 0 ? [{ name: "x", port: 90 }] : [])],
        },
      },
    ],
  },
  reader: {
    manifests: (value) => [
      {
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "ClusterRole",
        metadata: { name: "reader" },
        rules: [{ apiGroups: [""], resources: ["configmaps"], resourceNames: [String(value)], verbs: ["get"] }],
      },
    ],
  },
  widgets: { share: 0.12, manifests: (value) => [definition("Widget"), custom("Widget", "one", value), custom("Widget", "fixed", "0")] },
  gadgets: { share: 0.08, manifests: (value) => [definition("Gadget"), custom("Gadget", "one", value)] },
  meter: {
    share: 0.15,
    manifests: (value) => [
      { apiVersion: "metering.example.com/v1", kind: "Meter", metadata: { name: "meter", namespace: WEB }, spec: { value } },
    ],
  },
  space: {
    share: 0.1,
    manifests: (value) => [{ apiVersion: "v1", kind: "Namespace", metadata: { name: "space" } }, configMap("inside", value, {}, "space")],
  },
  far: { share: 0.15, bundle: "two", manifests: (value) => [configMap("far", value, {}, "far")] },
  poison: {
    share: 0.06,
    bundle: "four",
    manifests: (value) => [{ ...configMap("poison", value), dta: { value: String(value) } } as Manifest],
  },
} satisfies Record<string, Wish>;

export type Name = keyof typeof TABLE;
export const WISHES: Readonly<Record<Name, Wish>> = TABLE;
export const NAMES = Object.keys(TABLE) as Name[];
