import { CodedError, type ErrorCode } from "@muster/shared/errors";
import type { Clock } from "@muster/shared/runtime";
import { ByteLru } from "./cache/byte-lru.ts";
import { SharedWork } from "./cache/shared-work.ts";
import type { RenderPlan } from "./render-plan.ts";
import type { RenderedObjects } from "./rendered-objects.ts";

/** Failures that the input causes: rendering it again gives the same. */
const LASTING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "RENDER_HELM",
  "RENDER_KUSTOMIZE",
  "RENDER_NONDETERMINISTIC",
  "RENDER_REMOTE",
  "YAML_SYNTAX",
  "YAML_LIMIT",
  "OBJECT_INVALID",
  "BUNDLE_PATH_ESCAPE",
  "BUNDLE_FILE_MISSING",
]);
/** Failures that may have to do with what else the machine does; tried again after {@link RETRY_AFTER_MS}. */
const PASSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["RENDER_TIMEOUT", "RENDER_LIMIT"]);

/** Milliseconds for which a render that hung or was too large is not tried again: each try may cost the whole timeout. */
const RETRY_AFTER_MS = 60_000;

/** An object takes more memory than its text. */
const MEMORY_PER_BYTE = 4;

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
      const bytes = rendered.objects.reduce((sum, object) => sum + object.bytes * MEMORY_PER_BYTE + 200, 1_000);
      this.#outcomes.set(plan.key, { rendered }, bytes);
      return rendered;
    } catch (error) {
      if (error instanceof CodedError && LASTING.has(error.code))
        this.#outcomes.set(plan.key, { error, untilMs: Number.POSITIVE_INFINITY }, 2_000);
      if (error instanceof CodedError && PASSING.has(error.code))
        this.#outcomes.set(plan.key, { error, untilMs: this.#clock.monotonicMs() + RETRY_AFTER_MS }, 2_000);
      throw error;
    }
  }
}
