import type { SliceBundle } from "@muster/shared/model";

/** A pause, and its end, count also for what is there of a bundle that cannot be as Git wants it now: it is what stops an accident (E100). */
export function withPause(entry: SliceBundle, paused: boolean): SliceBundle {
  if (isPaused(entry) === paused) return entry;
  if (entry.state === "keep") return { ...entry, paused };
  const { paused: _, ...options } = entry.options;
  return { ...entry, options: { ...options, ...(paused && { paused }) } };
}

/** undefined: as it was when it was known. */
export function isPaused(entry: SliceBundle): boolean | undefined {
  return entry.state === "keep" ? entry.paused : entry.options.paused === true;
}
