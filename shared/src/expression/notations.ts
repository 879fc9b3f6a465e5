import { fail } from "./failure.ts";
import { Duration, Quantity, Timestamp } from "./values.ts";

/** No notation here is longer; what is may not be looked at. */
const MAX_LENGTH = 64;

const BILLION = 1_000_000_000n;
const TIME = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.(\d{1,9}))?(?:[Zz]|[+-]\d\d:\d\d)$/;

/** A time as RFC 3339 writes it, down to nanoseconds. */
export function parseTimestamp(text: string): Timestamp {
  const match = text.length <= MAX_LENGTH ? TIME.exec(text) : null;
  // Without the fraction, which Date takes to milliseconds only.
  const millis = match ? Date.parse(text.replace(/\.\d+/, "").toUpperCase()) : Number.NaN;
  if (!match || Number.isNaN(millis)) return fail(`"${shorten(text)}" is no time as in RFC 3339`);
  return new Timestamp(BigInt(millis) * 1_000_000n + BigInt((match[1] ?? "").padEnd(9, "0")));
}

const UNITS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  ms: 1_000_000n,
  s: BILLION,
  m: 60n * BILLION,
  h: 3_600n * BILLION,
};
const DURATION = /^([+-]?)((?:\d+(?:\.\d{0,9})?(?:ns|us|µs|ms|s|m|h))+|0)$/;

/** A span of time as Go writes it: `90s`, `1h30m`. */
export function parseDuration(text: string): Duration {
  const match = text.length <= MAX_LENGTH ? DURATION.exec(text) : null;
  if (!match) return fail(`"${shorten(text)}" is no duration`);
  let nanos = 0n;
  for (const [, whole = "0", fraction = "", unit = "s"] of (match[2] ?? "").matchAll(/(\d+)(?:\.(\d*))?(ns|us|µs|ms|s|m|h)/g)) {
    const size = UNITS[unit] ?? 0n;
    nanos += BigInt(whole) * size + (BigInt(fraction.padEnd(9, "0")) * size) / BILLION;
  }
  return new Duration(match[1] === "-" ? -nanos : nanos);
}

const QUANTITY = /^([+-]?)(\d+\.?\d*|\.\d+)(n|u|m|k|[KMGTPE]i|[MGTPE]|[eE][+-]?\d{1,2})?$/;
const DECIMAL: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };

/** An amount as Kubernetes writes it: `500m`, `1Gi`, `2e3`; undefined if the text is none. What is below a billionth is rounded up. */
export function parseQuantity(text: string): Quantity | undefined {
  const match = text.length <= MAX_LENGTH ? QUANTITY.exec(text) : null;
  if (!match) return undefined;
  const [, sign, digits = "0", suffix = ""] = match;
  const [whole = "", fraction = ""] = digits.split(".");
  let nanos = BigInt(`${whole}${fraction}` || "0");
  let exponent = 9 - fraction.length;
  if (suffix.endsWith("i")) nanos *= 1024n ** BigInt("KMGTPE".indexOf(suffix.charAt(0)) + 1);
  else exponent += DECIMAL[suffix] ?? Number(suffix.slice(1) || "0");
  nanos = exponent >= 0 ? nanos * 10n ** BigInt(exponent) : divideUp(nanos, 10n ** BigInt(-exponent));
  return new Quantity(sign === "-" ? -nanos : nanos);
}

function divideUp(value: bigint, divisor: bigint): bigint {
  return (value + divisor - 1n) / divisor;
}

/** The whole number that the amount is; undefined if it is none. */
export function wholeOf({ nanos }: Quantity): bigint | undefined {
  return nanos % BILLION === 0n ? nanos / BILLION : undefined;
}

/** As a floating-point number. */
export function approximate({ nanos }: Quantity): number {
  return Number(nanos) / 1e9;
}

/** As Go prints it, in seconds. */
export function formatDuration({ nanos }: Duration): string {
  return `${Number(nanos) / 1e9}s`;
}

/** RFC 3339 in UTC. */
export function formatTimestamp({ nanos }: Timestamp): string {
  const seconds = nanos >= 0n ? nanos / BILLION : -divideUp(-nanos, BILLION);
  const rest = nanos - seconds * BILLION;
  const date = new Date(Number(seconds) * 1000);
  if (Number.isNaN(date.getTime())) return fail("the time is out of range");
  const fraction = rest === 0n ? "" : `.${String(rest).padStart(9, "0").replace(/0+$/, "")}`;
  return date.toISOString().replace(".000Z", `${fraction}Z`);
}

function shorten(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
