const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A duration as kubectl shows it: `12s`, `3m20s`, `3m`, `5h`, `5h12m`, `3d`, `2y`. Negative ones are `0s`: clocks differ. */
export function formatDuration(ms: number): string {
  if (!(ms > 0)) return "0s";
  if (ms < 2 * MINUTE) return `${Math.floor(ms / SECOND)}s`;
  if (ms < 10 * MINUTE) return two(ms, MINUTE, "m", SECOND, "s");
  if (ms < 3 * HOUR) return `${Math.floor(ms / MINUTE)}m`;
  if (ms < 8 * HOUR) return two(ms, HOUR, "h", MINUTE, "m");
  if (ms < 2 * DAY) return `${Math.floor(ms / HOUR)}h`;
  if (ms < 8 * DAY) return two(ms, DAY, "d", HOUR, "h");
  if (ms < 2 * 365 * DAY) return `${Math.floor(ms / DAY)}d`;
  return two(ms, 365 * DAY, "y", DAY, "d");
}

function two(ms: number, big: number, bigUnit: string, small: number, smallUnit: string): string {
  const rest = Math.floor((ms % big) / small);
  return `${Math.floor(ms / big)}${bigUnit}${rest === 0 ? "" : `${rest}${smallUnit}`}`;
}

/** Age of an RFC 3339 time; `-` if there is none or it cannot be read. */
export function formatAge(at: string | undefined, nowMs: number): string {
  const then = at === undefined ? Number.NaN : Date.parse(at);
  return Number.isNaN(then) ? "-" : formatDuration(nowMs - then);
}
