import { isClusterName } from "../model/index.ts";

/** The JetStream streams of Muster. Nothing in them is the truth: Git and the agents' reports rebuild both. */
export const SLICE_STREAM = "MUSTER_SLICES";
export const BLOB_STREAM = "MUSTER_BLOBS";

export const SLICE_SUBJECTS = "muster.v1.slice.*";
export const BLOB_SUBJECTS = "muster.v1.blob.*.*";

/** The subject of a cluster's slices. Throws a RangeError on what is no cluster name: a `*` there would join clusters. */
export function sliceSubject(cluster: string): string {
  if (!isClusterName(cluster)) throw new RangeError(`not a cluster name: ${JSON.stringify(cluster)}`);
  return `muster.v1.slice.${cluster}`;
}

/** The cluster of a slice subject, or undefined. */
export function clusterOfSliceSubject(subject: string): string | undefined {
  const cluster = /^muster\.v1\.slice\.([^.]+)$/.exec(subject)?.[1];
  return cluster !== undefined && isClusterName(cluster) ? cluster : undefined;
}

/** The subject of one chunk of a blob. Throws a RangeError if the name is not 64 hex digits. */
export function blobSubject(blob: string, chunk: number): string {
  if (!/^[0-9a-f]{64}$/.test(blob) || !Number.isSafeInteger(chunk) || chunk < 0) throw new RangeError("not a blob chunk");
  return `muster.v1.blob.${blob}.${chunk}`;
}

/** The blob name of a chunk's subject, or undefined. */
export function blobOfSubject(subject: string): string | undefined {
  return /^muster\.v1\.blob\.([0-9a-f]{64})\.\d+$/.exec(subject)?.[1];
}

/** Prefix of the reply subjects of one identity. Never the shared `_INBOX`, which would show an agent the others' replies. */
export function inboxPrefix(cluster: string): string {
  if (!isClusterName(cluster)) throw new RangeError(`not a cluster name: ${JSON.stringify(cluster)}`);
  return `_INBOX_${cluster}`;
}

/** The hub's own. The underscore keeps it apart from every cluster's: no cluster name begins with one. */
export const HUB_INBOX_PREFIX = "_INBOX__hub";

/** What an agent may do on NATS, and nothing else. Allow-lists only: deny rules were bypassed again and again. */
export function agentPermissions(cluster: string): { publish: string[]; subscribe: string[] } {
  return {
    publish: [`$JS.API.DIRECT.GET.${SLICE_STREAM}.${sliceSubject(cluster)}`, `$JS.API.DIRECT.GET.${BLOB_STREAM}.${BLOB_SUBJECTS}`],
    subscribe: [sliceSubject(cluster), `${inboxPrefix(cluster)}.>`],
  };
}
