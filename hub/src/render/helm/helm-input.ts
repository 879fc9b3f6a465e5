import { CodedError, type InputPosition } from "@muster/shared/errors";
import type { JsonObject } from "@muster/shared/model";
import { canonicalJson } from "@muster/shared/wire";
import type { HelmSpec, Target, Variables } from "../../fleet/model.ts";
import { describeExpressionError, ExpressionError } from "../bind/expression.ts";
import { substituteValues } from "../bind/substitute.ts";
import { type UnsetVariable, unsetError } from "../bind/variable-uses.ts";
import type { BundleFiles } from "../bundle/bundle-files.ts";
import { resolveInBundle } from "../bundle/bundle-path.ts";

/** One `-f` of helm, in order: a file of the bundle, or values from a document. */
export type ValuesInput = { readonly file: string; readonly at: InputPosition } | { readonly json: string };

/** What bundle and layers say about a chart, resolved for one target. */
export interface HelmInput {
  /** Directory relative to the bundle. */
  readonly chart: string;
  readonly values: readonly ValuesInput[];
  readonly releaseName: string;
  readonly releaseNamespace: string;
}

const RELEASE_NAME = /^[a-z0-9](?:[-a-z0-9.]{0,51}[a-z0-9])?$/;
const NAMESPACE = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

/**
 * Resolves chart, values, name and namespace: bundle first, then the layers in their order; of each, valuesFiles come
 * before values. Throws VARIABLE_*, BUNDLE_PATH_ESCAPE, BUNDLE_FILE_MISSING, RENDER_REMOTE, FLEET_INVALID.
 */
export function helmInput(target: Target, files: BundleFiles, variables: Variables, namespace: string): HelmInput {
  const { bundle } = target;
  const unset: UnsetVariable[] = [];
  const values: ValuesInput[] = [];
  let releaseName = bundle.name;
  let releaseNamespace = namespace;
  for (const { helm, at } of [bundle, ...target.layers]) {
    if (!helm) continue;
    for (const written of helm.valuesFiles ?? []) values.push({ file: valuesFile(written, files, at), at });
    if (helm.values) values.push({ json: canonicalJson(fillValues(helm.values, variables, at, unset)) });
    releaseName = helm.releaseName ?? releaseName;
    releaseNamespace = helm.releaseNamespace ?? releaseNamespace;
  }
  if (unset.length > 0) throw unsetError(unset, target.cluster.name);
  if (!RELEASE_NAME.test(releaseName)) {
    throw new CodedError(
      "FLEET_INVALID",
      `${JSON.stringify(releaseName)} cannot be a Helm release name (53 characters at most); set helm.releaseName`,
      { at: bundle.at },
    );
  }
  if (!NAMESPACE.test(releaseNamespace))
    throw new CodedError("FLEET_INVALID", `${JSON.stringify(releaseNamespace)} cannot be a namespace`, { at: bundle.at });
  return { chart: chartDirectory(bundle.helm, files, bundle.at), values, releaseName, releaseNamespace };
}

/** What the values at this index are called in helm's private folder. */
export function valuesName(index: number): string {
  return `values/${index}.yaml`;
}

function chartDirectory(helm: HelmSpec | undefined, files: BundleFiles, at: InputPosition): string {
  const written = helm?.chart ?? ".";
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(written))
    throw new CodedError("RENDER_REMOTE", `The chart ${JSON.stringify(written)} is on the network`, { at });
  const chart = resolveInBundle(written, "", at);
  if (!files.files.has(chart === "" ? "Chart.yaml" : `${chart}/Chart.yaml`)) {
    throw new CodedError("BUNDLE_FILE_MISSING", `There is no Chart.yaml in the chart's directory ${JSON.stringify(written)}`, { at });
  }
  return chart;
}

function valuesFile(written: string, files: BundleFiles, at: InputPosition): string {
  // helm itself would fetch a URL here.
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(written))
    throw new CodedError("RENDER_REMOTE", `The values file ${JSON.stringify(written)} is on the network`, { at });
  const path = resolveInBundle(written, "", at);
  if (!files.files.has(path))
    throw new CodedError("BUNDLE_FILE_MISSING", `There is no values file ${JSON.stringify(written)} in the bundle`, { at });
  return path;
}

function fillValues(values: JsonObject, variables: Variables, at: InputPosition, unset: UnsetVariable[]): JsonObject {
  const names = new Set<string>();
  try {
    const filled = substituteValues(values, variables, names);
    for (const name of names) unset.push({ name, at, user: "helm.values" });
    return filled;
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    // Passwords are given to charts as values.
    throw new CodedError("VARIABLE_SYNTAX", `helm.values: ${describeExpressionError(error, values, false)}`, { at });
  }
}
