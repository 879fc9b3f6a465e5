import { setImmediate as nextTurn } from "node:timers/promises";
import { CodedError } from "@muster/shared/errors";
import { type Clock, systemClock } from "@muster/shared/runtime";
import { digestJson } from "@muster/shared/wire";
import type { Target } from "../fleet/model.ts";
import type { CommitSnapshot } from "../source/snapshot.ts";
import { Binder } from "./bind/binder.ts";
import { variablesOf } from "./bind/variable-uses.ts";
import { type BundleFiles, bundleFilesOf } from "./bundle/bundle-files.ts";
import { chooseRenderer } from "./choose-renderer.ts";
import { DocumentReader } from "./documents/document-reader.ts";
import { helmInput } from "./helm/helm-input.ts";
import { HelmRenderer } from "./helm/render-helm.ts";
import { noticeIgnoredFields } from "./ignored-fields.ts";
import { KustomizeRenderer } from "./kustomize/render-kustomize.ts";
import { RawRenderer, rawManifestPaths } from "./raw/render-raw.ts";
import { RenderCache } from "./render-cache.ts";
import type { RenderPlan } from "./render-plan.ts";
import type { ClusterCapabilities, Renderer } from "./renderer.ts";
import { Toolbox } from "./sandbox/tool.ts";

/** Options of {@link createRenderer}; `render` of the hub's configuration. */
export interface RendererOptions {
  /** Path or name in PATH. Default `helm`. */
  readonly helm?: string;
  /** Path or name in PATH. Default `kustomize`. */
  readonly kustomize?: string;
  /** Milliseconds that one run of a tool may take. Default 30 000. */
  readonly timeoutMs?: number;
  /** Bytes that one run may write. Default 64 MiB. */
  readonly maxOutputBytes?: number;
  /** Resident bytes that one run may use. Default 1 GiB. */
  readonly maxMemoryBytes?: number;
  /** Tools that run at the same time. Default 2. */
  readonly concurrency?: number;
  /** For charts, while a cluster's version is not known. Default v1.36.0. */
  readonly kubernetesVersion?: string;
  /** Private folders are made here. Default: the system's temporary folder. */
  readonly temporaryFolder?: string;
  /** Bytes of each of the three caches: documents, rendered objects, bound targets. Default 256 MiB. */
  readonly cacheBytes?: number;
  readonly clock?: Clock;
}

/** Milliseconds of binding after which other work of the process gets its turn. */
const TURN_MS = 10;

/** Renders targets with the real tools; see {@link Renderer}. */
export function createRenderer(options: RendererOptions = {}): Renderer {
  const { cacheBytes = 256 * 1024 * 1024, clock = systemClock, kubernetesVersion = "v1.36.0" } = options;
  const reader = new DocumentReader(cacheBytes);
  const tools = new Toolbox({
    timeoutMs: options.timeoutMs ?? 30_000,
    maxOutputBytes: options.maxOutputBytes ?? 64 * 1024 * 1024,
    maxMemoryBytes: options.maxMemoryBytes ?? 1024 * 1024 * 1024,
    concurrency: options.concurrency ?? 2,
    clock,
    ...(options.temporaryFolder !== undefined && { temporaryFolder: options.temporaryFolder }),
  });
  const raw = new RawRenderer(reader);
  const kustomize = new KustomizeRenderer(options.kustomize ?? "kustomize", tools, reader);
  const helm = new HelmRenderer({ command: options.helm ?? "helm", tools, reader, kubernetesVersion, clock });
  const cache = new RenderCache(cacheBytes, clock);
  const binder = new Binder(cacheBytes);
  let turn = performance.now();

  /** How a target is rendered, and where its objects belong that name no namespace. */
  async function plan(target: Target, files: BundleFiles, capabilities: ClusterCapabilities, signal: AbortSignal): Promise<TargetPlan> {
    const choice = chooseRenderer(target, files);
    const namespace = namespaceOf(target) ?? "default";
    if (choice.kind === "kustomize") return { plan: await kustomize.plan(files, choice.directory, signal), namespace };
    if (choice.kind === "raw") return { plan: rawPlan(files), namespace };
    const input = helmInput(target, files, variablesOf(target), namespace);
    // As with `helm install --namespace`: an object that names none is made where `.Release.Namespace` says that it is.
    return { plan: await helm.plan(files, input, capabilities, signal), namespace: input.releaseNamespace };
  }

  const rawPlans = new WeakMap<BundleFiles, RenderPlan>();

  /** Made once per bundle and snapshot: for plain files nothing of the target is part of it. */
  function rawPlan(files: BundleFiles): RenderPlan {
    let known = rawPlans.get(files);
    if (!known) {
      const paths = rawManifestPaths(files);
      const key = digestJson(["raw", files.position(""), files.digestOf(paths)]);
      known = { key, run: async (signal) => ({ key, objects: await raw.render(files, paths, signal), notices: [] }) };
      rawPlans.set(files, known);
    }
    return known;
  }

  return {
    async render(target, snapshot: CommitSnapshot, capabilities, signal = new AbortController().signal) {
      signal.throwIfAborted();
      // Thousands of targets may be answered from caches, without any wait of their own.
      if (performance.now() - turn > TURN_MS) {
        await nextTurn();
        turn = performance.now();
      }
      try {
        const files = bundleFilesOf(snapshot, target.bundle.directory);
        const planned = await plan(target, files, capabilities, signal);
        const rendered = await cache.render(planned.plan, signal);
        const bound = binder.bind({ target, rendered, capabilities, namespace: planned.namespace });
        return noticeIgnoredFields(bound, target.bundle.options.drift.ignore);
      } catch (error) {
        throw placed(error, target);
      }
    },
  };
}

interface TargetPlan {
  readonly plan: RenderPlan;
  readonly namespace: string;
}

/** The namespace that is said for objects that name none: the last matching layer's, else the bundle's. */
function namespaceOf(target: Target): string | undefined {
  return target.layers.findLast((layer) => layer.namespace !== undefined)?.namespace ?? target.bundle.namespace;
}

/** An error that belongs to the bundle as a whole (a timeout, a missing tool) stands at the bundle's document. */
function placed(error: unknown, target: Target): unknown {
  if (!(error instanceof CodedError) || error.at) return error;
  return new CodedError(error.code, error.message, { at: target.bundle.at, data: error.data, cause: error.cause });
}
