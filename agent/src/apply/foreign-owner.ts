import { BUNDLE_LABEL, isJsonObject, type JsonObject, type Manifest } from "@muster/shared/model";
import { annotationOf } from "../plan/prune-policy.ts";

/** Marks that other tools leave on objects that they manage, and what to call the tool (E093). */
const MARKS: readonly { readonly tool: string; readonly in: "labels" | "annotations"; readonly key: string }[] = [
  { tool: "Helm release", in: "annotations", key: "meta.helm.sh/release-name" },
  { tool: "Argo CD application", in: "annotations", key: "argocd.argoproj.io/tracking-id" },
  { tool: "Argo CD application", in: "labels", key: "argocd.argoproj.io/instance" },
  { tool: "Flux Kustomization", in: "labels", key: "kustomize.toolkit.fluxcd.io/name" },
  { tool: "Flux HelmRelease", in: "labels", key: "helm.toolkit.fluxcd.io/name" },
  { tool: "Fleet bundle", in: "annotations", key: "objectset.rio.cattle.io/id" },
  { tool: "Config Sync", in: "annotations", key: "configsync.gke.io/resource-id" },
];

/** `never`, `ifUnowned` (default) or `always`, on an object in Git: whether one that is there already may become ours (E092). */
export const ADOPT_ANNOTATION = "muster.dev/adopt";

/**
 * Why what is there already does not become ours; undefined if it does. An object with our own label is ours, unless a controller has made
 * it: operators copy labels to what they make (E090).
 */
export function whyNotAdopted(wanted: Manifest, live: Manifest): string | undefined {
  const controller = controllerOf(live);
  if (controller) return `belongs to ${controller}`;
  if (isMarked(live)) return undefined;
  const policy = annotationOf(wanted, ADOPT_ANNOTATION) ?? "ifUnowned";
  if (policy === "always") return undefined;
  const owner = toolOf(live);
  if (owner) return `belongs to ${owner}`;
  // A word that means nothing must not take what is not ours.
  return policy === "ifUnowned" ? undefined : `is there already, and its annotation ${ADOPT_ANNOTATION} in Git says ${policy}`;
}

/** True if an object has our label. */
export function isMarked(live: Manifest): boolean {
  return sectionOf(live, "labels")[BUNDLE_LABEL] !== undefined;
}

function toolOf(live: Manifest): string | undefined {
  for (const mark of MARKS) {
    const value = sectionOf(live, mark.in)[mark.key];
    if (value !== undefined) return `the ${mark.tool} ${String(value)}`;
  }
  return undefined;
}

function sectionOf(live: Manifest, name: "labels" | "annotations"): JsonObject {
  const value = live.metadata[name];
  return isJsonObject(value) ? value : {};
}

/** An object with a controlling owner is made by that controller, whatever its labels say (E090). */
export function controllerOf(live: Manifest): string | undefined {
  const owners = live.metadata["ownerReferences"];
  for (const owner of Array.isArray(owners) ? owners : []) {
    if (isJsonObject(owner) && owner["controller"] === true) return `its controller ${String(owner["kind"])} ${String(owner["name"])}`;
  }
  return undefined;
}
