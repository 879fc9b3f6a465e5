import { CodedError, type ErrorCode } from "@muster/shared/errors";
import type { Clock } from "@muster/shared/runtime";
import { ByteLru } from "./cache/byte-lru.ts";
import { SharedWork } from "./cache/shared-work.ts";
import type { RenderPlan } from "./render-plan.ts";
import type { RenderedObjects } from "./rendered-objects.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

/**
 * Milliseconds for which a failure is remembered. Failures that are found in the input itself last as long as it does.
 * What a tool says may have been a full disk or a failed fork inside of it. A render that hung or was too large may be
 * the fault of what else the machine does; but each try may cost the whole timeout. Others are tried again each time.
 */
const KEPT_MS: Readonly<Partial<Record<ErrorCode, number>>> = {
  RENDER_REMOTE: Number.POSITIVE_INFINITY,
  YAML_SYNTAX: Number.POSITIVE_INFINITY,
  YAML_LIMIT: Number.POSITIVE_INFINITY,
  OBJECT_INVALID: Number.POSITIVE_INFINITY,
  BUNDLE_PATH_ESCAPE: Number.POSITIVE_INFINITY,
  BUNDLE_FILE_MISSING: Number.POSITIVE_INFINITY,
  RENDER_HELM: HOUR_MS,
  // It may have been one of the renders that are compared.
  RENDER_NONDETERMINISTIC: HOUR_MS,
  RENDER_KUSTOMIZE: HOUR_MS,
  RENDER_TIMEOUT: MINUTE_MS,
  RENDER_LIMIT: MINUTE_MS,
};

type Outcome = { readonly rendered: RenderedObjects } | { readonly error: CodedError; readonly untilMs: number };

/** Results of the first step by their key, failures too; one run for any number of concurrent callers. */
export class RenderCache {
  readonly #outcomes: ByteLru<Outcome>;
  readonly #work = new SharedWork<RenderedObjects>();
  readonly #clock: Clock;

  constructor(cacheBytes: number, clock: Clock) {
    this.#outcomes = new ByteLru(cacheBytes);
    this.#clock = clock;
  }

  async render(plan: RenderPlan, signal?: AbortSignal): Promise<RenderedObjects> {
    const known = this.#outcomes.get(plan.key);
    if (known && "rendered" in known) return known.rendered;
    if (known && this.#clock.monotonicMs() < known.untilMs) throw known.error;
    return await this.#work.run(plan.key, (workSignal) => this.#run(plan, workSignal), signal);
  }

  async #run(plan: RenderPlan, signal: AbortSignal): Promise<RenderedObjects> {
    try {
      const rendered = await plan.run(signal);
      const bytes = rendered.objects.reduce((sum, object) => sum + object.bytes + 200, 1_000);
      this.#outcomes.set(plan.key, { rendered }, bytes);
      return rendered;
    } catch (error) {
      const keptMs = error instanceof CodedError ? KEPT_MS[error.code] : undefined;
      if (error instanceof CodedError && keptMs !== undefined)
        this.#outcomes.set(plan.key, { error, untilMs: this.#clock.monotonicMs() + keptMs }, 2_000);
      throw error;
    }
  }
}
