import { CodedError } from "@muster/shared/errors";
import type { Target } from "../fleet/model.ts";
import type { BundleFiles } from "./bundle/bundle-files.ts";
import { resolveInBundle } from "./bundle/bundle-path.ts";
import { kustomizationFile } from "./kustomize/check-kustomization.ts";

/** How a target is rendered. */
export type RendererChoice =
  | { readonly kind: "raw" }
  | { readonly kind: "helm" }
  | { readonly kind: "kustomize"; readonly directory: string };

/**
 * What bundle and matching layers say; if nothing, what the files are: Chart.yaml, then a kustomization, then plain YAML.
 * Throws FLEET_INVALID for helm and kustomize together, BUNDLE_PATH_ESCAPE, BUNDLE_FILE_MISSING.
 */
export function chooseRenderer(target: Target, files: BundleFiles): RendererChoice {
  const { bundle, layers } = target;
  const helm = [bundle, ...layers].find((part) => part.helm);
  const kustomize = [bundle, ...layers].findLast((part) => part.kustomize);
  if (helm && kustomize) {
    throw new CodedError("FLEET_INVALID", `Bundle ${bundle.name} sets both helm and kustomize for cluster ${target.cluster.name}`, {
      at: kustomize.at,
    });
  }
  if (helm) return { kind: "helm" };
  if (kustomize?.kustomize) {
    const directory = resolveInBundle(kustomize.kustomize.path, "", kustomize.at);
    if (kustomizationFile(files, directory) === undefined) {
      throw new CodedError("BUNDLE_FILE_MISSING", `There is no kustomization.yaml in ${JSON.stringify(kustomize.kustomize.path)}`, {
        at: kustomize.at,
      });
    }
    return { kind: "kustomize", directory };
  }
  if (files.files.has("Chart.yaml")) return { kind: "helm" };
  return kustomizationFile(files, "") === undefined ? { kind: "raw" } : { kind: "kustomize", directory: "" };
}
