import {
  BUNDLE_LABEL,
  formatObjectRef,
  isJsonObject,
  type JsonObject,
  type Manifest,
  type ObjectRefText,
  objectRefOf,
} from "@muster/shared/model";
import type { ResourceType } from "../../agent/src/kube/cluster.ts";
import { BUILT_IN, DEFINITION, definedTypes, NAMESPACE } from "../../agent/src/kube/testing/memory/kinds.ts";
import type { MemoryApi } from "../../agent/src/kube/testing/memory/memory-api.ts";
import type { SeededRandom } from "../rig/seeded-random.ts";
import { AGENT_NAMESPACE } from "./agent-process.ts";
import { FINALIZER, WEB } from "./wishes.ts";

/** Everybody else who works in the cluster. */
export interface Strangers {
  /** Objects that they have done something to, ever. */
  readonly disturbed: Pick<ReadonlySet<ObjectRefText>, "has">;
  /** Does something to an object, by default to any; gives what. */
  act(target?: Manifest): string;
  /** Puts another object in the place of one. */
  usurp(target: Manifest): string;
  /** When they last did something to an object, in milliseconds since the beginning. */
  touchedMs(ref: ObjectRefText): number | undefined;
  /** Tidies up what would keep an agent from coming to rest: finalizers, and namespaces that are not there. */
  leave(): void;
}

export function createStrangers(api: MemoryApi, random: SeededRandom, nowMs: () => number): Strangers {
  const touched = new Map<ObjectRefText, number>();
  const disturbed = { add: (ref: ObjectRefText) => void touched.set(ref, nowMs()), has: (ref: ObjectRefText) => touched.has(ref) };
  let count = 0;
  /** All that lives there was disturbed with it. */
  let isHomeless = false;

  const types = (): ResourceType[] => [...BUILT_IN, ...api.store.list(DEFINITION).flatMap(definedTypes)];
  const typeOf = (object: Manifest) => types().find((type) => type.kind === object.kind);

  function candidates(): Manifest[] {
    return [...api.store.all()].filter(({ kind, metadata }) => {
      const isPart = metadata["namespace"] === AGENT_NAMESPACE || metadata.name === AGENT_NAMESPACE || metadata.name === WEB;
      return !isPart && kind !== "Lease";
    });
  }

  function patch(type: ResourceType, { metadata }: Manifest, change: JsonObject, manager = "kubectl-edit"): void {
    api.mergePatch(type, String(metadata["namespace"] ?? ""), metadata.name, change, { manager });
  }

  function remove(type: ResourceType, { metadata }: Manifest): void {
    api.delete(type, String(metadata["namespace"] ?? ""), metadata.name, {});
  }

  /** Under the same name, and somebody else's. */
  function replace(type: ResourceType, object: Manifest, metadata: JsonObject): void {
    remove(type, object);
    const { name, namespace } = object.metadata;
    const { status: _, ...rest } = object;
    const made = { ...rest, metadata: { ...metadata, name, ...(namespace !== undefined && { namespace }) } } as Manifest;
    // Finalizers may still hold the old one, or its namespace may be going.
    if (!api.store.get(type, String(namespace ?? ""), name)) api.create(type, made, { manager: random.pick(["helm", "kubectl-create"]) });
  }

  function edit(type: ResourceType, object: Manifest): string {
    const value = `edited ${++count}`;
    if (object.kind === "Deployment") patch(type, object, { spec: { replicas: 1 + random.below(5) } });
    else if (isJsonObject(object["data"]) && object.kind === "ConfigMap" && object["immutable"] !== true)
      patch(type, object, { data: random.chance(0.5) ? { value } : { [`extra-${count}`]: value } });
    else if (
      isJsonObject(object["spec"]) &&
      object.kind !== "CustomResourceDefinition" &&
      object.kind !== "Namespace" &&
      object.kind !== "Service"
    )
      patch(type, object, { spec: { value } });
    else patch(type, object, { metadata: { labels: { edited: String(count) } } });
    return "edited";
  }

  const DEEDS: readonly {
    readonly share: number;
    readonly of?: (object: Manifest) => boolean;
    readonly act: (type: ResourceType, object: Manifest) => string;
  }[] = [
    { share: 0.3, act: edit },
    {
      share: 0.2,
      act: (type, object) => {
        remove(type, object);
        return "deleted";
      },
    },
    {
      share: 0.1,
      of: ({ kind }) => kind !== "Namespace" && kind !== "CustomResourceDefinition",
      act: (type, object) => {
        replace(type, object, {});
        return "made anew";
      },
    },
    {
      share: 0.04,
      of: ({ kind }) => kind !== "Namespace" && kind !== "CustomResourceDefinition",
      act: (type, object) => {
        const { labels = {} } = object.metadata;
        replace(type, object, { labels });
        return "made anew with its labels";
      },
    },
    {
      share: 0.1,
      act: (type, object) => {
        patch(type, object, { metadata: { labels: { [BUNDLE_LABEL]: null } } });
        return "bereft of our label";
      },
    },
    {
      share: 0.05,
      act: (type, object) => {
        patch(type, object, { metadata: { labels: { [BUNDLE_LABEL]: random.pick(["one", "two", "three", "four", "stranger-s"]) } } });
        return "labelled otherwise";
      },
    },
    {
      share: 0.06,
      act: (type, object) => {
        patch(type, object, { metadata: { finalizers: [FINALIZER] } });
        return "held by a finalizer";
      },
    },
    {
      share: 0.05,
      act: (type, object) => {
        patch(type, object, { metadata: { managedFields: [{}] } });
        return "bereft of all owners";
      },
    },
    {
      share: 0.05,
      act: (type, object) => {
        patch(type, object, { metadata: { annotations: { "muster.dev/prune": random.pick(["disabled", "enabled"]) } } });
        return "annotated";
      },
    },
    {
      share: 0.05,
      act: () => {
        makeFirst();
        return "made before Git has it";
      },
    },
  ];

  /** What Git has, or will have, is there already: by Helm, or by kubectl. */
  function makeFirst(): void {
    const [name, metadata] = random.pick<[string, JsonObject]>([
      ["theirs", { annotations: { "meta.helm.sh/release-name": "release" } }],
      ["adopted", { annotations: { "meta.helm.sh/release-name": "release" } }],
      [
        "map-1",
        { annotations: { "kubectl.kubernetes.io/last-applied-configuration": JSON.stringify({ data: { value: "0", old: "x" } }) } },
      ],
    ]);
    const type = types().find(({ kind }) => kind === "ConfigMap");
    const home = api.store.get(NAMESPACE, "", WEB);
    if (!type || !home || home.metadata["deletionTimestamp"] || api.store.get(type, WEB, name)) return;
    const manifest = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { ...metadata, name, namespace: WEB },
      data: { value: "0", old: "x" },
    };
    disturbed.add(formatObjectRef(objectRefOf(manifest)));
    api.create(type, manifest, { manager: name === "map-1" ? "kubectl-client-side-apply" : "helm" });
  }

  function destroyHome(): string {
    isHomeless = true;
    api.delete(NAMESPACE, "", WEB, {});
    return `Namespace ${WEB} deleted`;
  }

  return {
    disturbed: { has: (ref) => disturbed.has(ref) || (isHomeless && ref.startsWith(`${WEB}_`)) },
    touchedMs: (ref) => touched.get(ref),
    usurp(target) {
      const type = typeOf(target);
      const ref = formatObjectRef(objectRefOf(target));
      if (!type || target.metadata["namespace"] === AGENT_NAMESPACE || target.kind === "Namespace" || type.group.startsWith("apiext"))
        return "nothing";
      disturbed.add(ref);
      replace(type, target, {});
      return `${ref} made anew`;
    },
    act(target) {
      if (!target && random.chance(0.02)) return destroyHome();
      const object = target ?? random.pick(candidates().length > 0 ? candidates() : [...api.store.all()]);
      let dice = random.next() * DEEDS.reduce((sum, { share }) => sum + share, 0);
      const deed = DEEDS.find(({ share }) => {
        dice -= share;
        return dice <= 0;
      });
      const type = typeOf(object);
      const isPart = !candidates().includes(object);
      if (!deed || !type || isPart || (deed.of && !deed.of(object))) return "nothing";
      const ref = formatObjectRef(objectRefOf(object));
      disturbed.add(ref);
      // All that goes with it was disturbed too.
      const inside = (one: Manifest) =>
        one.metadata["namespace"] === object.metadata.name || definedTypes(object).some(({ kind }) => kind === one.kind);
      for (const one of candidates()) if (inside(one)) disturbed.add(formatObjectRef(objectRefOf(one)));
      try {
        return `${ref} ${deed.act(type, object)}`;
      } catch (error) {
        return `${ref}: ${error instanceof Error ? error.message : String(error)}`;
      }
    },
    leave() {
      for (const object of candidates()) {
        const finalizers = object.metadata["finalizers"];
        const type = typeOf(object);
        if (!type || !Array.isArray(finalizers) || !finalizers.includes(FINALIZER)) continue;
        if (object.metadata["deletionTimestamp"])
          patch(type, object, { metadata: { finalizers: finalizers.filter((one) => one !== FINALIZER) } });
      }
      if (!api.store.get(NAMESPACE, "", WEB)) {
        const manifest = { apiVersion: "v1", kind: "Namespace", metadata: { name: WEB } };
        api.create(NAMESPACE, manifest, { manager: "kubectl-create" });
      }
    },
  };
}
