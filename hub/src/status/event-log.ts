import type { EventView } from "./views.ts";

/** The last events, newest first; older ones are forgotten. */
export class EventLog {
  readonly #events: EventView[] = [];
  readonly #limit: number;
  #next = 1;

  constructor(limit = 1_000) {
    this.#limit = limit;
  }

  add(event: Omit<EventView, "id">): EventView {
    const added = { id: this.#next++, ...event };
    this.#events.unshift(added);
    if (this.#events.length > this.#limit) this.#events.length = this.#limit;
    return added;
  }

  all(): EventView[] {
    return [...this.#events];
  }
}

/** Conditions that remember since when they hold. */
export class ConditionDates {
  readonly #since = new Map<string, string>();

  /** When this was first said; `now` if it is new. */
  since(key: string, now: string): string {
    const known = this.#since.get(key);
    if (known) return known;
    this.#since.set(key, now);
    if (this.#since.size > 100_000) this.#since.clear();
    return now;
  }

  /** Forgets what is not said any more. */
  retain(keys: ReadonlySet<string>): void {
    for (const key of this.#since.keys()) if (!keys.has(key)) this.#since.delete(key);
  }
}
