import { CodedError } from "@muster/shared/errors";
import type { Manifest } from "@muster/shared/model";
import type { Cluster, ResourceType } from "../../agent/src/kube/cluster.ts";
import type { Finding } from "./oracle.ts";
import type { Sabotage } from "./world.ts";

/** An agent that is broken on purpose, and what it breaks. */
export interface Mutant {
  readonly name: string;
  /** What it breaks, as in reliability.md. */
  readonly finds: Finding["invariant"];
  readonly sabotage: Sabotage;
}

const isState = ({ kind, metadata }: Manifest, ...names: readonly string[]) =>
  kind === "Secret" && names.some((name) => metadata.name === `muster-state-${name}`);

/** Errors that say nothing of an object. */
const isUnavailable = (error: unknown) =>
  error instanceof CodedError && (error.code === "KIND_UNAVAILABLE" || (error.code === "KUBE_SERVER" && error.data["status"] === 404));

/** Writes some of the state otherwise. */
function withState(cluster: Cluster, write: (manifest: Manifest, how: () => Promise<Manifest>) => Promise<Manifest>): Cluster {
  return {
    ...cluster,
    create: (type, manifest, signal) => write(manifest, () => cluster.create(type, manifest, signal)),
    replace: (type, manifest, signal) => write(manifest, () => cluster.replace(type, manifest, signal)),
  };
}

function withGet(
  cluster: Cluster,
  change: (type: ResourceType, live: () => Promise<Manifest | undefined>) => Promise<Manifest | undefined>,
) {
  return {
    ...cluster,
    get: (type, namespace, name, signal) => change(type, () => cluster.get(type, namespace, name, signal)),
  } satisfies Cluster;
}

/** What the simulation must find, each in a few hundred seeds at most. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "deletes whatever has the name",
    finds: "I3",
    sabotage: {
      focus: { plain: true, names: ["map-1", "map-2", "map-3", "map-4", "secret"], interference: 0.7 },
      cluster: (cluster) => ({
        ...cluster,
        async delete(type, namespace, name, options) {
          try {
            return await cluster.delete(type, namespace, name, options);
          } catch (error) {
            if (!(error instanceof CodedError) || error.code !== "KUBE_CONFLICT") throw error;
            const live = await cluster.get(type, namespace, name, options.signal);
            return live && cluster.delete(type, namespace, name, { ...options, uid: String(live.metadata["uid"]) });
          }
        },
      }),
    },
  },
  {
    name: "writes its inventory after it has applied",
    finds: "I5",
    sabotage: {
      cluster: (cluster, { time }) =>
        withState(cluster, async (manifest, write) => {
          if (!isState(manifest, "inventory")) return write();
          time.after(2_000, () => void write().catch(() => {}));
          return manifest;
        }),
    },
  },
  {
    name: "takes a deletion that was asked for as done",
    finds: "I5",
    sabotage: {
      focus: { plain: true, names: ["held", "map-1", "map-2"] },
      cluster: (cluster) => ({
        ...cluster,
        async delete(type, namespace, name, options) {
          await cluster.delete(type, namespace, name, options);
          return undefined;
        },
      }),
    },
  },
  {
    name: "takes a path that is not served, or does not answer, for an object that is gone",
    finds: "I5",
    sabotage: {
      focus: { plain: true, names: ["meter", "map-1", "map-2"], interference: 0, aggregatedDown: 0.5 },
      cluster: (cluster) =>
        withGet(cluster, (_, live) => live().catch((error: unknown) => (isUnavailable(error) ? undefined : Promise.reject(error)))),
    },
  },
  {
    name: "knows no deletion budget",
    finds: "I3",
    sabotage: {
      ignoresBudget: true,
      focus: { plain: true, names: ["map-1", "map-2", "map-3", "map-4", "secret"], budget: { objects: 1, percent: 100 } },
    },
  },
  { name: "believes whoever signs", finds: "I1", sabotage: { trustsStrangers: true } },
  {
    name: "forgets which slices it has taken",
    finds: "I6",
    sabotage: {
      cluster: (cluster) => withState(cluster, async (manifest, write) => (isState(manifest, "slice", "high-water") ? manifest : write())),
    },
  },
  {
    name: "writes at every look",
    finds: "I9",
    sabotage: {
      cluster: (cluster, { api }) => ({
        ...cluster,
        list: async (type, options, signal) => {
          const found = await cluster.list(type, options, signal);
          const [first] = found.items;
          if (type.kind === "ConfigMap" && first && api.store.get(type, String(first.metadata["namespace"]), first.metadata.name)) {
            const patch = { metadata: { annotations: { looked: found.resourceVersion } } };
            await cluster.mergePatch(type, String(first.metadata["namespace"]), first.metadata.name, patch, signal);
          }
          return found;
        },
      }),
    },
  },
];
