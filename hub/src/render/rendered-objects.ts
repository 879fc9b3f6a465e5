import type { InputPosition } from "@muster/shared/errors";
import type { JsonObject } from "@muster/shared/model";
import type { RenderNotice } from "./renderer.ts";

/** One object as a renderer gave it: not checked, not bound. Shared between targets and never changed. */
export interface RenderedObject {
  readonly object: JsonObject;
  /** For people, see RenderedTarget.origins. */
  readonly origin: string;
  /** Where an error in it is shown. */
  readonly at: InputPosition;
  /** Of memory, about; for caches. */
  readonly bytes: number;
}

/** What the first step gives: the same for every target with the same inputs. */
export interface RenderedObjects {
  /** Digest of every input: equal keys are equal objects. */
  readonly key: string;
  readonly objects: readonly RenderedObject[];
  readonly notices: readonly RenderNotice[];
}
