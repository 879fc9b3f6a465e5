/** A budget that refills with time. Time is an argument. */
export class TokenBucket {
  readonly #burst: number;
  readonly #perSecond: number;
  #tokens: number;
  #atMs: number;

  constructor(options: { readonly burst: number; readonly perSecond: number; readonly nowMs: number }) {
    this.#burst = options.burst;
    this.#perSecond = options.perSecond;
    this.#tokens = options.burst;
    this.#atMs = options.nowMs;
  }

  /** Spends, if there is enough. */
  take(cost: number, nowMs: number): boolean {
    this.#refill(nowMs);
    if (this.#tokens < cost) return false;
    this.#tokens -= cost;
    return true;
  }

  /** Spends, into debt if need be. Gives the milliseconds until the debt is paid; 0: there is none. */
  spend(cost: number, nowMs: number): number {
    this.#refill(nowMs);
    this.#tokens -= cost;
    return this.#tokens >= 0 ? 0 : (-this.#tokens / this.#perSecond) * 1_000;
  }

  #refill(nowMs: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + (Math.max(0, nowMs - this.#atMs) / 1_000) * this.#perSecond);
    this.#atMs = nowMs;
  }
}
