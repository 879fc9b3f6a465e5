import type { RenderedObjects } from "./rendered-objects.ts";

/** How one target is rendered, decided but not done: the key tells whether it was done before. */
export interface RenderPlan {
  /** Digest of every input of the render. */
  readonly key: string;
  run(signal: AbortSignal): Promise<RenderedObjects>;
}
