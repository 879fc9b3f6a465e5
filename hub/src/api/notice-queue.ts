import type { ChangeNotice } from "../status/views.ts";

/** Names of one kind that are told apart; more become one notice that says that many have changed. */
const MAX_NAMES = 1_000;

/**
 * Notices that wait for a reader: one per thing, however often it has changed meanwhile. Takes bounded memory, however slow the
 * reader is: of a kind of which too many have changed, one notice with an empty name is left.
 */
export class NoticeQueue {
  readonly #waiting = new Map<ChangeNotice["kind"], Set<string>>();

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  add({ kind, name }: ChangeNotice): void {
    const names = this.#waiting.get(kind);
    if (!names) this.#waiting.set(kind, new Set([name]));
    else if (names.size < MAX_NAMES) names.add(name);
    else if (!names.has(name)) this.#waiting.set(kind, new Set([""]));
  }

  /** All that wait; the queue is empty after it. */
  take(): ChangeNotice[] {
    const notices = [...this.#waiting].flatMap(([kind, names]) =>
      names.has("") ? [{ kind, name: "" }] : [...names].map((name) => ({ kind, name })),
    );
    this.#waiting.clear();
    return notices;
  }
}
