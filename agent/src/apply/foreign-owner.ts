import { BUNDLE_LABEL, isJsonObject, type JsonObject, type Manifest } from "@muster/shared/model";

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

/** The bundle that our label on an object names; undefined without one. */
export function bundleOf(live: Manifest): string | undefined {
  const bundle = sectionOf(live, "labels")[BUNDLE_LABEL];
  return typeof bundle === "string" ? bundle : undefined;
}

/** True if an object has our label, with a bundle that this agent knows: another one's is of another fleet (E077). */
export function isMarked(live: Manifest, isKnown: (bundle: string) => boolean): boolean {
  const bundle = bundleOf(live);
  return bundle !== undefined && isKnown(bundle);
}

/** Who else claims an object, by the marks that tools leave; undefined: nobody does. */
export function toolOf(live: Manifest): string | undefined {
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
