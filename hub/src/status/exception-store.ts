import { formatObjectRef, type ObjectException, type ObjectRef, type ObjectRefText } from "@muster/shared/model";

/** An exception with the time at which the hub first heard of it. */
export interface DatedException {
  readonly exception: ObjectException;
  /** Wall clock, milliseconds. */
  readonly sinceMs: number;
}

/** Objects of one cluster that are remembered as exceptions, and bytes of JSON that they may take; the rest is counted only (I11). */
const MAX_OBJECTS = 10_000;
const MAX_BYTES = 8 * 1024 * 1024;

/** The exceptions of one cluster, as far as there is room. */
export class ExceptionStore {
  readonly #kept = new Map<ObjectRefText, DatedException & { readonly bytes: number }>();
  /** Those that found no room, as far as there is room for their names. */
  readonly #leftOut = new Set<ObjectRefText>();
  #bytes = 0;
  /** About how many more. */
  #unnamed = 0;

  /** Exceptions that are kept. */
  get size(): number {
    return this.#kept.size;
  }

  /** What they take, at most {@link MAX_BYTES}. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many more there are; beyond {@link MAX_OBJECTS} about. */
  get leftOut(): number {
    return this.#leftOut.size + this.#unnamed;
  }

  values(): Iterable<DatedException> {
    return this.#kept.values();
  }

  get(ref: ObjectRef): DatedException | undefined {
    return this.#kept.get(formatObjectRef(ref));
  }

  /** Takes the place of what was known of the object. */
  put(exception: ObjectException, sinceMs: number): void {
    const key = formatObjectRef(exception.ref);
    const text = JSON.stringify(exception);
    const bytes = Buffer.byteLength(text) + Buffer.byteLength(key);
    const known = this.#kept.get(key);
    const fits = this.#bytes - (known?.bytes ?? 0) + bytes <= MAX_BYTES && (known !== undefined || this.size < MAX_OBJECTS);
    if (!fits) {
      this.#remove(key);
      if (this.#leftOut.has(key) || this.#leftOut.size < MAX_OBJECTS) this.#leftOut.add(key);
      else this.#unnamed += 1;
      return;
    }
    this.#leftOut.delete(key);
    this.#bytes += bytes - (known?.bytes ?? 0);
    // A text that was cut out of a longer one keeps all of that in memory; read anew, it takes what it is counted as.
    this.#kept.set(key, { exception: JSON.parse(text), sinceMs, bytes });
  }

  delete(ref: ObjectRef): void {
    const key = formatObjectRef(ref);
    // What was told and is neither kept nor named can only be one of those that found no room for their name.
    if (!this.#remove(key) && !this.#leftOut.delete(key)) this.#unnamed = Math.max(0, this.#unnamed - 1);
    if (this.size + this.#leftOut.size === 0) this.#unnamed = 0;
  }

  #remove(key: ObjectRefText): boolean {
    this.#bytes -= this.#kept.get(key)?.bytes ?? 0;
    return this.#kept.delete(key);
  }
}
