import { parseSshKey } from "./ssh-key.ts";

/** One line of an `allowed_signers` file (ssh-keygen(1)). */
export interface AllowedSigner {
  readonly principals: string;
  readonly keyBlob: Buffer;
  /** Namespaces that it may sign for; undefined: all. */
  readonly namespaces?: readonly string[];
  /** Milliseconds since 1970, compared with when a commit says it was made. */
  readonly validAfterMs?: number;
  readonly validBeforeMs?: number;
}

/** Reads all lines. Throws with the number of the first that is none: a line that is passed over would be a signer who is not known. */
export function parseAllowedSigners(text: string): readonly AllowedSigner[] {
  return text.split("\n").flatMap((line, index) => {
    if (/^\s*(#|$)/.test(line)) return [];
    try {
      return [parseLine(line.trim())];
    } catch (error) {
      throw new RangeError(`line ${index + 1}: ${(error as Error).message}`);
    }
  });
}

const KEY_TYPE = /^(sk-)?(ssh|ecdsa)-/;

function parseLine(line: string): AllowedSigner {
  const words = line.match(/(?:[^\s"]+|"[^"]*")+/g) ?? [];
  const [principals = "", ...rest] = words;
  const hasOptions = rest[0] !== undefined && !KEY_TYPE.test(rest[0]);
  const [options, type, base64] = hasOptions ? rest : ["", ...rest];
  if (!type || !base64 || !/^[A-Za-z0-9+/]+=*$/.test(base64)) throw new RangeError("it must be: principals [options] type key");
  const keyBlob = Buffer.from(base64, "base64");
  parseSshKey(keyBlob);
  return { principals: principals.replaceAll('"', ""), keyBlob, ...parseOptions(options ?? "") };
}

function parseOptions(text: string): Omit<AllowedSigner, "principals" | "keyBlob"> {
  const found: { namespaces?: readonly string[]; validAfterMs?: number; validBeforeMs?: number } = {};
  for (const option of text.match(/(?:[^,"]+|"[^"]*")+/g) ?? []) {
    const [name = "", quoted = ""] = option.split(/=(.*)/s);
    const value = quoted.replace(/^"(.*)"$/s, "$1");
    switch (name.toLowerCase()) {
      case "namespaces":
        found.namespaces = value.split(",").map((each) => each.trim());
        if (found.namespaces.some((each) => /[*?!]/.test(each))) throw new RangeError("patterns of namespaces are not taken; name them");
        break;
      case "valid-after":
        found.validAfterMs = parseTime(value);
        break;
      case "valid-before":
        found.validBeforeMs = parseTime(value);
        break;
      default:
        // `cert-authority` too: with it, other keys would be taken than the one that stands here.
        throw new RangeError(`the option ${name.slice(0, 40)} is not taken`);
    }
  }
  return found;
}

/** `YYYYMMDD[HHMM[SS]][Z]`; always taken as UTC, so that every machine reads it alike. */
function parseTime(text: string): number {
  const [, year, month, day, hour = "00", minute = "00", second = "00"] =
    /^(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2})?)?Z?$/.exec(text) ?? [];
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(ms)) throw new RangeError(`${JSON.stringify(text.slice(0, 40))} is no time (YYYYMMDD[HHMM[SS]]Z)`);
  return ms;
}
