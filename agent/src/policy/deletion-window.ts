import { CodedError } from "@muster/shared/errors";
import type { Clock } from "@muster/shared/runtime";
import { z } from "zod";
import type { StateStore } from "../pull/state-store.ts";

/** Counts deletions over a window that outlives the process: whoever can crash an agent gets no new window by that. */
export interface DeletionWindow {
  /** Counts one. Throws POLICY_DELETIONS if the window has no more. */
  spend(): Promise<void>;
  /** The one that was counted last was refused, and so deleted nothing. */
  giveBack(): void;
}

/** Options of {@link createDeletionWindow}. */
export interface DeletionWindowOptions {
  /** Deletions in a window; 0: any number. */
  readonly max: number;
  readonly windowMinutes: number;
  readonly store: Pick<StateStore, "read" | "write">;
  readonly clock: Clock;
}

const NAME = "deletions";
/** Times in milliseconds since 1970, each with a number of deletions that were set aside then. */
const KEPT = z.array(z.tuple([z.number(), z.int().min(1)]));
/** Of the window, what is set aside by one write of the state: not every deletion is to cost one. */
const SHARE = 0.1;

export function createDeletionWindow({ max, windowMinutes, store, clock }: DeletionWindowOptions): DeletionWindow {
  const windowMs = windowMinutes * 60_000;
  const portion = Math.max(1, Math.floor(max * SHARE));
  let kept: z.output<typeof KEPT> | undefined;
  /** Set aside, and not used. */
  let spare = 0;
  /** When they were set aside: they end with their window. */
  let spareAtMs = 0;
  let turn: Promise<void> = Promise.resolve();

  async function reserve(): Promise<void> {
    // What is damaged counts as a window that is used up: it empties with time.
    kept ??= await read();
    const nowMs = clock.wallMs();
    // A clock that was set back must not make a window that never ends.
    const inWindow = kept.filter(([atMs]) => atMs > nowMs - windowMs && atMs <= nowMs + windowMs);
    const used = inWindow.reduce((sum, [, count]) => sum + count, 0);
    const more = Math.min(portion, max - used);
    if (more <= 0) {
      const freeAtMs = Math.min(...inWindow.map(([atMs]) => atMs)) + windowMs;
      throw new CodedError(
        "POLICY_DELETIONS",
        `This cluster's policy lets its agent delete ${max} objects in ${windowMinutes} minutes; more from ${new Date(freeAtMs).toISOString()} on`,
      );
    }
    const next: z.output<typeof KEPT> = [...inWindow, [nowMs, more]];
    // Before the first of them: after a crash they count as done.
    await store.write(NAME, Buffer.from(JSON.stringify(next)));
    kept = next;
    [spare, spareAtMs] = [more, nowMs];
  }

  async function read(): Promise<z.output<typeof KEPT>> {
    const usedUp: z.output<typeof KEPT> = [[clock.wallMs(), max]];
    try {
      const bytes = await store.read(NAME);
      return bytes ? KEPT.parse(JSON.parse(bytes.toString())) : [];
    } catch (error) {
      // What cannot be read now can be read later.
      if (error instanceof CodedError && error.code !== "AGENT_STATE_CORRUPT") throw error;
      await store.write(NAME, Buffer.from(JSON.stringify(usedUp)));
      return usedUp;
    }
  }

  return {
    async spend() {
      if (max === 0) return;
      // One after the other, or two would set aside the same.
      const mine = turn.then(async () => {
        if (spare === 0 || clock.wallMs() - spareAtMs >= windowMs) await reserve();
        spare -= 1;
      });
      turn = mine.catch(() => {});
      await mine;
    },
    giveBack() {
      if (max > 0 && spare < portion) spare += 1;
    },
  };
}
