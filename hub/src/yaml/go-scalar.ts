/** What a plain scalar means. */
export interface GoScalar {
  readonly value: string | number | boolean | null;
  /** false for an integer that a JavaScript number cannot hold. */
  readonly exact: boolean;
  /** true for what Go holds as a float64; it matters for map keys only. */
  readonly float?: true;
}

/** Thrown for what Go reads, but JSON cannot hold (`.inf`, `.nan`), and for a tag that does not fit its scalar. */
export class GoScalarError extends Error {}

const WORDS = new Map<string, boolean | null>();
for (const word of ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"]) WORDS.set(word, true);
for (const word of ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"]) WORDS.set(word, false);
for (const word of ["", "~", "null", "Null", "NULL"]) WORDS.set(word, null);

const NOT_JSON = new Set([".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF"]);
const SMALL_INTEGER = /^-?(?:0|[1-9][0-9]{0,14})$/;
const TIMESTAMP = /^[0-9]{4}-/;
const FLOAT = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;
/** strconv.ParseFloat takes underscores between digits. */
const DOT_FLOAT = /^\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?$/;
const MAX_UINT64 = (1n << 64n) - 1n;
const MIN_INT64 = -(1n << 63n);

/**
 * What sigs.k8s.io/yaml (go-yaml v2) makes of a plain scalar: YAML 1.1 words, Go's integer prefixes (`012` is octal),
 * underscores, but neither base 60 nor dates. Follows `resolve` in go.yaml.in/yaml/v2 branch by branch.
 */
export function resolveGoScalar(text: string): GoScalar {
  if (SMALL_INTEGER.test(text)) return { value: Number(text) + 0, exact: true };
  const word = WORDS.get(text);
  if (word !== undefined) return { value: word, exact: true };
  if (NOT_JSON.has(text)) throw new GoScalarError(`${text} cannot be written as JSON; quote it if it is meant as text`);
  const first = text.charCodeAt(0);
  if (first === 0x2e) {
    const value = DOT_FLOAT.test(text) ? Number(text.replaceAll("_", "")) : Number.NaN;
    return Number.isFinite(value) ? { value, exact: true, float: true } : { value: text, exact: true };
  }
  const numeric = (first >= 0x30 && first <= 0x39) || first === 0x2b || first === 0x2d;
  // A date stays text; nothing numeric begins with four digits and a dash.
  if (!numeric || TIMESTAMP.test(text)) return { value: text, exact: true };
  const plain = text.replaceAll("_", "");
  const integer = parseGoInteger(plain);
  if (integer !== undefined) {
    const value = Number(integer);
    // JSON.stringify writes the shortest digits that round-trip; if they are not the integer's own, the value would change.
    return { value, exact: BigInt(value) === integer && String(value) === String(integer) };
  }
  if (FLOAT.test(plain)) {
    const value = Number(plain);
    if (Number.isFinite(value)) return { value, exact: true, float: true };
  }
  return { value: text, exact: true };
}

/** An integer that is a map key, as sigs.k8s.io/yaml writes it; undefined for one beyond int64, which it refuses. */
export function formatGoIntegerKey(text: string): string | undefined {
  const integer = parseGoInteger(text.replaceAll("_", ""));
  return integer === undefined || integer >= 1n << 63n ? undefined : String(integer);
}

/** `.inf` and its like as a map key, where Go has a form for it; undefined for any other text. */
export function formatGoSpecialKey(text: string): string | undefined {
  return NOT_JSON.has(text) ? text.toLowerCase().replace("+", "") : undefined;
}

/** strconv.ParseInt and then ParseUint with base 0; undefined where both fail. */
function parseGoInteger(text: string): bigint | undefined {
  const match = /^([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|0[0-7]*|[1-9][0-9]*)$/.exec(text);
  if (!match?.[2]) return undefined;
  const [, sign = "", digits] = match;
  const legacyOctal = /^0[0-7]+$/.test(digits);
  const magnitude = BigInt(legacyOctal ? `0o${digits}` : digits.toLowerCase());
  const value = sign === "-" ? -magnitude : magnitude;
  if (value < MIN_INT64) return undefined;
  // ParseUint takes no sign, so +18446744073709551615 is a float.
  if (value > MAX_UINT64 || (sign === "+" && value >= 1n << 63n)) return undefined;
  return value;
}

/** strconv.FormatFloat(key, 'g', -1, 32): how sigs.k8s.io/yaml writes a float that is a map key. */
export function formatGoFloatKey(value: number): string {
  const single = Math.fround(value);
  if (!Number.isFinite(single)) return single > 0 ? ".inf" : "-.inf";
  if (single === 0) return Object.is(single, -0) ? "-0" : "0";
  let shortest = String(single);
  for (let digits = 1; digits <= 9; digits++) {
    const candidate = single.toPrecision(digits);
    if (Math.fround(Number(candidate)) === single) {
      shortest = candidate;
      break;
    }
  }
  const [mantissa = "0", exponentText = "0"] = Number(shortest).toExponential().split("e");
  const exponent = Number(exponentText);
  const digitCount = mantissa.replace(/[-.]/g, "").length;
  // With the shortest precision, Go changes to the exponent form below 1e-4 and from 1e6 on.
  if (exponent < -4 || exponent >= 6) {
    const sign = exponent < 0 ? "-" : "+";
    return `${mantissa}e${sign}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  return Number(shortest).toFixed(Math.max(0, digitCount - 1 - exponent));
}
