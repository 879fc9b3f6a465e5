import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { CodedError } from "@muster/shared/errors";
import {
  BUNDLE_LABEL,
  type BundleOptions,
  DEFAULT_DELETION_BUDGET,
  type Digest,
  isJsonObject,
  type Manifest,
  type ManifestSetRef,
  type Slice,
  type SliceBundle,
} from "@muster/shared/model";
import { encodeManifestSet, encodeSlice } from "@muster/shared/wire";

/** A bundle for {@link SliceMaker.make}; without objects it is kept, with options it is said whether paused. */
export interface MadeBundle {
  readonly name: string;
  readonly objects?: readonly Manifest[];
  readonly options?: Partial<BundleOptions>;
}

/** A slice as a hub would publish it. */
export interface MadeSlice {
  readonly slice: Slice;
  readonly message: string;
  readonly digest: Digest;
}

/** Signs slices and keeps their blobs, as a hub does; for tests. */
export interface SliceMaker {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
  /** Compressed manifest sets by blob name. */
  readonly blobs: Map<string, Uint8Array>;
  /** A slice of the next generation, unless `more` says which. */
  make(bundles: readonly MadeBundle[], more?: Partial<Slice>): MadeSlice;
  fetchBlob(ref: ManifestSetRef): Promise<Uint8Array>;
}

export const DEFAULT_BUNDLE_OPTIONS: BundleOptions = {
  drift: { mode: "correct", ignore: [] },
  prune: true,
  createNamespace: false,
  dependsOn: [],
};

/** `keys`: those to sign with; default: new ones. */
export function createSliceMaker(cluster = "c1", keys = generateKeyPairSync("ed25519")): SliceMaker {
  const { publicKey, privateKey } = keys;
  const blobs = new Map<string, Uint8Array>();
  let generation = 0;

  function toSliceBundle({ name, objects, options }: MadeBundle): SliceBundle {
    if (!objects) return { name, state: "keep", reason: "RENDER_HELM", ...(options && { paused: options.paused === true }) };
    const set = encodeManifestSet(objects.map((manifest) => labelled(manifest, name)));
    blobs.set(set.ref.blob, Buffer.concat(set.chunks));
    return { name, state: "desired", manifestSet: set.ref, objects: set.objects, options: { ...DEFAULT_BUNDLE_OPTIONS, ...options } };
  }

  return {
    publicKey,
    privateKey,
    blobs,
    make(bundles, more = {}) {
      generation = more.generation ?? generation + 1;
      const slice: Slice = {
        version: 1,
        trustDomain: "muster.local",
        cluster,
        epoch: 1,
        paused: false,
        deletionBudget: DEFAULT_DELETION_BUDGET,
        approvedDeletions: [],
        commits: [{ source: "fleet", ref: "main", commit: "0".repeat(40) }],
        ...more,
        generation,
        bundles: bundles.map(toSliceBundle),
      };
      return { slice, ...encodeSlice(slice, privateKey) };
    },
    async fetchBlob(ref) {
      const bytes = blobs.get(ref.blob);
      if (!bytes) throw new CodedError("BLOB_MISSING", `no blob ${ref.blob}`);
      return bytes;
    },
  };
}

function labelled(manifest: Manifest, bundle: string): Manifest {
  const labels = isJsonObject(manifest.metadata["labels"]) ? manifest.metadata["labels"] : {};
  return { ...manifest, metadata: { ...manifest.metadata, labels: { ...labels, [BUNDLE_LABEL]: bundle } } };
}

/** A ConfigMap in the namespace `web`. */
export function configMap(name: string, value = "1", namespace = "web"): Manifest {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace }, data: { value } };
}
