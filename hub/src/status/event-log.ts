import type { EventView } from "./views.ts";

/** The last events; older ones are forgotten. */
export class EventLog {
  readonly #ring: EventView[] = [];
  readonly #limit: number;
  #next = 1;

  constructor(limit = 1_000) {
    this.#limit = limit;
  }

  add(event: Omit<EventView, "id">): EventView {
    const added = { id: this.#next, ...event };
    this.#ring[(this.#next - 1) % this.#limit] = added;
    this.#next += 1;
    return added;
  }

  /** Newest first. */
  all(): EventView[] {
    return [...this.#ring].sort((a, b) => b.id - a.id);
  }
}
