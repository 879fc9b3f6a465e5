import { CodedError, formatPosition, type InputPosition } from "@muster/shared/errors";
import { type EncodedManifestSet, encodeManifestSet } from "@muster/shared/wire";
import type { BundleDefinition, Target } from "./fleet/model.ts";
import type { TargetOutcome } from "./release/compose-slices.ts";
import type { ClusterCapabilities, RenderedTarget, Renderer, RenderNotice } from "./render/renderer.ts";
import type { CommitSnapshot } from "./source/snapshot.ts";

/** What rendering all targets gave. */
export interface RenderedFleet {
  readonly outcomes: readonly TargetOutcome[];
  /** By `bundle/cluster`. */
  readonly notices: ReadonlyMap<string, readonly RenderNotice[]>;
  /** By blob. */
  readonly sets: ReadonlyMap<string, EncodedManifestSet>;
  /** Milliseconds of all encoding together. */
  readonly encodeMs: number;
}

/** Renders and encodes targets. What was rendered before is not encoded again. */
export interface TargetRenderer {
  /** `snapshots`: the commits that the targets were read from, by the name of the source. */
  render(targets: readonly Target[], snapshots: ReadonlyMap<string, CommitSnapshot>, signal: AbortSignal): Promise<RenderedFleet>;
}

/** Options of {@link createTargetRenderer}. */
export interface TargetRendererOptions {
  readonly renderer: Renderer;
  readonly capabilitiesOf: (cluster: string) => ClusterCapabilities;
  readonly monotonicMs: () => number;
}

export function createTargetRenderer(options: TargetRendererOptions): TargetRenderer {
  const { renderer, capabilitiesOf, monotonicMs } = options;
  const encodings = new WeakMap<RenderedTarget, EncodedManifestSet>();

  return {
    async render(targets, snapshots, signal) {
      const notices = new Map<string, readonly RenderNotice[]>();
      const sets = new Map<string, EncodedManifestSet>();
      let encodeMs = 0;
      const encode = (rendered: RenderedTarget): EncodedManifestSet => {
        const known = encodings.get(rendered);
        if (known) return known;
        const started = monotonicMs();
        const set = encodeManifestSet(rendered.manifests);
        encodings.set(rendered, set);
        encodeMs += monotonicMs() - started;
        return set;
      };
      const renderOne = async (target: Target): Promise<TargetOutcome> => {
        try {
          const snapshot = snapshots.get(target.bundle.source);
          if (!snapshot) throw new CodedError("SOURCE_UNREACHABLE", `The source ${target.bundle.source} has no commit yet`);
          const rendered = await renderer.render(target, snapshot, capabilitiesOf(target.cluster.name), signal);
          // The renderer gives no empty target; if it did, an empty set would delete everything of the bundle.
          if (rendered.manifests.length === 0) throw new CodedError("BUNDLE_EMPTY", "the bundle renders to no object at all");
          if (rendered.notices.length > 0) notices.set(`${target.bundle.name}/${target.cluster.name}`, rendered.notices);
          const set = encode(rendered);
          sets.set(set.ref.blob, set);
          return { target, set };
        } catch (error) {
          if (signal.aborted) throw error;
          const coded = CodedError.from(error);
          const where = coded.at ? `${placeOf(coded.at, target.bundle)}: ` : "";
          return { target, error: { code: coded.code, message: `${where}${coded.message}` } };
        }
      };
      const outcomes = await Promise.all(targets.map(renderOne));
      return { outcomes, notices, sets, encodeMs };
    },
  };
}

/** Renderers know paths inside the bundle; people want them inside the source. */
function placeOf(at: InputPosition, { directory }: BundleDefinition): string {
  const inside = directory === "" || at.file === directory || at.file.startsWith(`${directory}/`);
  return formatPosition(inside ? at : { ...at, file: `${directory}/${at.file}` });
}
