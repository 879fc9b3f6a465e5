import { posix } from "node:path";
import { CodedError, type ErrorCode, type InputPosition } from "@muster/shared/errors";
import type { Manifest } from "@muster/shared/model";
import { forEachLimited } from "@muster/shared/runtime";
import { encodeManifestSet } from "@muster/shared/wire";
import { buildFleet } from "../../src/fleet/build-fleet.ts";
import type { FleetModel, FleetProblem, Target } from "../../src/fleet/model.ts";
import { createFleetLoader } from "../../src/load-fleet-input.ts";
import { composeSlices, type TargetOutcome } from "../../src/release/compose-slices.ts";
import { createRenderer } from "../../src/render/create-renderer.ts";
import type { RenderNotice } from "../../src/render/renderer.ts";
import { readDirectorySnapshot } from "../../src/source/directory-snapshot.ts";
import type { CommitSnapshot } from "../../src/source/snapshot.ts";

/*
 * The only file that knows the hub's own modules. It is loaded only for the commands that work on a checkout without a
 * hub: it renders with just the code that the hub renders with.
 */

/** Options of {@link openCheckout}. */
export interface CheckoutOptions {
  readonly directory: string;
  /** Path or name in PATH. Default `helm`. */
  readonly helm?: string;
  /** Path or name in PATH. Default `kustomize`. */
  readonly kustomize?: string;
  /** For charts; default the hub's. */
  readonly kubernetesVersion?: string;
}

/** Something wrong in a checkout. */
export interface CheckoutProblem {
  readonly code: ErrorCode;
  readonly message: string;
  /** Path below the checkout. */
  readonly at?: InputPosition;
  /** Targets that it holds back, if not all of them. */
  readonly targets: readonly { readonly bundle: string; readonly cluster: string }[];
}

/** One target, rendered as the hub would. */
export interface CheckoutTarget {
  readonly bundle: string;
  readonly cluster: string;
  readonly manifests: readonly Manifest[];
  /** Where each manifest came from; same order. */
  readonly origins: readonly string[];
  readonly notices: readonly RenderNotice[];
}

/** A checkout of a fleet. */
export interface Checkout {
  readonly model: FleetModel;
  /** Throws what the renderer throws. */
  render(target: Target, signal?: AbortSignal): Promise<CheckoutTarget>;
  /** What is wrong with a cluster beside the targets that failed: documents that are held, and objects that stand in two of `rendered`. */
  problemsOf(cluster: string, rendered: readonly CheckoutTarget[]): readonly CheckoutProblem[];
  /** Everything that is wrong: in the documents, in rendering any target, and between bundles of a cluster. */
  validate(signal?: AbortSignal): Promise<readonly CheckoutProblem[]>;
}

/** Targets that are rendered at the same time; the renderer limits its tools by itself. */
const CONCURRENCY = 8;

/** What a cluster's API can do is not known here: charts see helm's own defaults. The hub waits until an agent has told it. */
const NO_CAPABILITIES = { apiVersions: [], clusterScopedKinds: new Set<string>() };

/** Reads a checkout. Throws SOURCE_PATH_MISSING or SOURCE_EMPTY. */
export async function openCheckout({ directory, ...tools }: CheckoutOptions): Promise<Checkout> {
  const snapshot: CommitSnapshot = readDirectorySnapshot(directory);
  const model = buildFleet([await createFleetLoader().load(snapshot)]);
  const renderer = createRenderer(tools);

  const checkout: Checkout = {
    model,
    async render(target, signal) {
      const { manifests, origins, notices } = await renderer.render(target, snapshot, NO_CAPABILITIES, signal);
      return { bundle: target.bundle.name, cluster: target.cluster.name, manifests, origins, notices };
    },
    problemsOf(cluster, rendered) {
      const documents = model.problems.filter(({ scope }) => scope.kind !== "cluster" || scope.name === cluster);
      const outcomes = rendered.flatMap(({ bundle, manifests }): TargetOutcome[] => {
        const target = model.targets.find((one) => one.cluster.name === cluster && one.bundle.name === bundle);
        return target ? [{ target, set: encodeManifestSet(manifests) }] : [];
      });
      return [...documents.map((problem): CheckoutProblem => ({ ...withoutScope(problem), targets: [] })), ...conflicts(model, outcomes)];
    },
    async validate(signal) {
      const problems = model.problems.map((problem): CheckoutProblem => ({ ...withoutScope(problem), targets: [] }));
      const outcomes = new Map<Target, TargetOutcome>();
      const errors = new Map<Target, CodedError>();
      await forEachLimited(model.targets, CONCURRENCY, async (target) => {
        try {
          const { manifests } = await checkout.render(target, signal);
          outcomes.set(target, { target, set: encodeManifestSet(manifests) });
        } catch (error) {
          if (signal?.aborted) throw error;
          const coded = CodedError.from(error);
          errors.set(target, coded);
          outcomes.set(target, { target, error: coded });
        }
      });
      return [...problems, ...groupErrors(model, errors), ...conflicts(model, [...outcomes.values()])];
    },
  };
  return checkout;
}

function withoutScope({ code, message, at }: FleetProblem): Omit<CheckoutProblem, "targets"> {
  return { code, message, ...(at && { at }) };
}

/** One problem for one mistake, however many targets it holds back; in the order of the targets. */
function groupErrors(model: FleetModel, errors: ReadonlyMap<Target, CodedError>): CheckoutProblem[] {
  const groups = new Map<string, { error: CodedError; targets: { bundle: string; cluster: string }[] }>();
  for (const target of model.targets) {
    const error = errors.get(target);
    if (!error) continue;
    const key = JSON.stringify([error.code, error.message, error.at]);
    const group = groups.get(key) ?? { error, targets: [] };
    group.targets.push({ bundle: target.bundle.name, cluster: target.cluster.name });
    groups.set(key, group);
  }
  return [...groups.values()].map(({ error, targets }) => ({
    code: error.code,
    message: error.message,
    ...(error.at && { at: error.at }),
    targets,
  }));
}

/** Objects that stand in two bundles of one cluster: only composing the slices can tell. */
function conflicts(model: FleetModel, outcomes: readonly TargetOutcome[]): CheckoutProblem[] {
  const failed = new Set(
    outcomes.flatMap((outcome) => ("error" in outcome ? [`${outcome.target.bundle.name}/${outcome.target.cluster.name}`] : [])),
  );
  const groups = new Map<string, CheckoutProblem & { targets: { bundle: string; cluster: string }[] }>();
  for (const { bundle, cluster, code, message } of composeSlices({ model, outcomes, previous: new Map() }).problems) {
    if (failed.has(`${bundle}/${cluster}`)) continue;
    const at = model.bundles.get(bundle)?.at;
    const group = groups.get(`${code}\n${message}`) ?? { code, message, ...(at && { at }), targets: [] };
    group.targets.push({ bundle, cluster });
    groups.set(`${code}\n${message}`, group);
  }
  return [...groups.values()];
}

/** A position as the person who called sees it: below the directory that was named. */
export function placeIn(directory: string, at: InputPosition | undefined): InputPosition {
  if (!at) return { file: posix.normalize(directory) };
  return { ...at, file: posix.join(directory, at.file) };
}
