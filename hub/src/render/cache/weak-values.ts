/** A map that does not keep its values alive. Entries whose value is gone are removed now and then. */
export class WeakValues<V extends object> {
  readonly #refs = new Map<string, WeakRef<V>>();
  #sweepAt = 16;

  get(key: string): V | undefined {
    return this.#refs.get(key)?.deref();
  }

  set(key: string, value: V): void {
    this.#refs.set(key, new WeakRef(value));
    if (this.#refs.size < this.#sweepAt) return;
    for (const [old, ref] of this.#refs) if (!ref.deref()) this.#refs.delete(old);
    // The next sweep comes after as many additions as there are live entries: its cost is spread over them.
    this.#sweepAt = Math.max(16, this.#refs.size * 2);
  }
}
