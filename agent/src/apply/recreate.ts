import { CodedError } from "@muster/shared/errors";
import { describeObjectRef, isJsonObject, type Manifest, objectRefOf } from "@muster/shared/model";
import { digestBytes } from "@muster/shared/wire";
import type { AgentFailpoint } from "../failpoints.ts";
import type { Cluster, ResourceType } from "../kube/cluster.ts";
import { isAppliedByUs } from "../observe/field-set.ts";
import { isProtectedKind } from "../plan/plan-prune.ts";
import { isMarked } from "./foreign-owner.ts";

/** `muster.dev/recreate: onImmutable` on an object in Git: where a field cannot be changed, delete it and make it anew (E046). */
export const RECREATE_ANNOTATION = "muster.dev/recreate";

/** What is to be made anew. */
export interface Recreation {
  readonly type: ResourceType;
  /** As it shall be. */
  readonly manifest: Manifest;
  /** The UID that the inventory knows it by. */
  readonly uid?: string;
  /** A bundle that this agent has, or has objects of. */
  readonly isKnown: (bundle: string) => boolean;
  /** The KUBE_IMMUTABLE that an apply was answered with. */
  readonly error: CodedError;
}

/** Options of {@link makeRoom}. */
export interface MakeRoomOptions {
  readonly cluster: Cluster;
  readonly ownNamespace: string;
  readonly failpoint: AgentFailpoint;
  /** Called right before the deletion. */
  readonly onDelete: () => void;
}

/**
 * Deletes an object that cannot become what Git wants, so that an apply can make it anew. Its entry stays in the inventory all
 * the time, so a crash in between is a missing object like any other. Throws the KUBE_IMMUTABLE where nobody has allowed it, what the
 * API server has against the new object, and OBJECT_TERMINATING while finalizers hold the old one.
 */
export async function makeRoom(recreation: Recreation, options: MakeRoomOptions, signal: AbortSignal): Promise<void> {
  const { type, manifest, uid, isKnown, error } = recreation;
  const { cluster, failpoint } = options;
  if (!mayRecreate(manifest, error, options.ownNamespace)) throw error;
  const { namespace, name } = objectRefOf(manifest);
  const live = await cluster.get(type, namespace, name, signal);
  if (!live) return;
  const liveUid = String(live.metadata["uid"] ?? "");
  // Never what is not known to be ours: the annotation is about the object in Git, and a label is copied with the rest of an object.
  if ((uid !== liveUid && !isAppliedByUs(live)) || !isMarked(live, isKnown)) throw error;
  const terminating = () =>
    new CodedError("OBJECT_TERMINATING", `${describeObjectRef(objectRefOf(manifest))} is being deleted and then made anew`);
  if (live.metadata["deletionTimestamp"]) throw terminating();
  await tryCreate(recreation, options, signal);
  options.onDelete();
  const left = await cluster.delete(type, namespace, name, { uid: liveUid, signal });
  failpoint("agent.afterRecreateDelete");
  if (left) throw terminating();
}

/** Nothing is deleted for an object that the API server would not take either: asked under a name that nobody has (E047). */
async function tryCreate({ type, manifest }: Recreation, { cluster }: MakeRoomOptions, signal: AbortSignal): Promise<void> {
  const name = `muster-${digestBytes(manifest.metadata.name).slice(-8)}`;
  const probe = { ...manifest, metadata: { ...manifest.metadata, name } };
  await cluster.apply(type, probe, { force: true, dryRun: true, signal }).catch((error: unknown) => {
    // The old one makes room in the quota too.
    if (!(error instanceof CodedError) || error.code !== "KUBE_QUOTA") throw error;
  });
}

function mayRecreate(manifest: Manifest, error: CodedError, ownNamespace: string): boolean {
  const ref = objectRefOf(manifest);
  // With it would go what is in it, or data.
  if (isProtectedKind(ref)) return false;
  if (isSafeBinding(manifest, error, ownNamespace)) return true;
  const annotations = manifest.metadata["annotations"];
  return isJsonObject(annotations) && annotations[RECREATE_ANNOTATION] === "onImmutable";
}

/** A binding holds nothing but what Git says (E049). One for the agent's own namespace may be what the agent lives by. */
function isSafeBinding({ kind, apiVersion, ...rest }: Manifest, error: CodedError, ownNamespace: string): boolean {
  if (!apiVersion.startsWith("rbac.authorization.k8s.io/") || !["RoleBinding", "ClusterRoleBinding"].includes(kind)) return false;
  const fields = error.data["fields"];
  if (!Array.isArray(fields) || fields.some((field) => field !== "roleRef")) return false;
  const subjects: unknown = rest["subjects"];
  const isAgents = (subject: unknown) =>
    typeof subject === "object" && subject !== null && "namespace" in subject && subject.namespace === ownNamespace;
  return !(Array.isArray(subjects) && subjects.some(isAgents));
}
