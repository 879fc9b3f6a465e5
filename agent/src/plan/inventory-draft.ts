import type { ObjectRefText } from "@muster/shared/model";
import type { InventoryEntry } from "./inventory.ts";

/** Changes to the entries of an inventory; a copy is made with the first one only, for most passes have none and an inventory is large. */
export class InventoryDraft {
  readonly #before: ReadonlyMap<ObjectRefText, InventoryEntry>;
  #changed: Map<ObjectRefText, InventoryEntry> | undefined;

  constructor(before: ReadonlyMap<ObjectRefText, InventoryEntry>) {
    this.#before = before;
  }

  get entries(): ReadonlyMap<ObjectRefText, InventoryEntry> {
    return this.#changed ?? this.#before;
  }

  get isChanged(): boolean {
    return this.#changed !== undefined;
  }

  get(ref: ObjectRefText): InventoryEntry | undefined {
    return this.entries.get(ref);
  }

  set(entry: InventoryEntry): void {
    this.#changed ??= new Map(this.#before);
    this.#changed.set(entry.ref, entry);
  }
}
