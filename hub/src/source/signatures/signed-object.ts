/** A commit or an annotated tag, split into what was signed and the signature. */
export interface SignedObject {
  readonly payload: Uint8Array;
  /** Armoured; absent: it is not signed. */
  readonly signature?: string;
  /** Milliseconds since 1970, as its committer or tagger says; absent: it says none. */
  readonly atMs?: number;
}

const NEWLINE = 0x0a;

/**
 * Splits a raw commit. The signature stands in the header `gpgsig`, whose following lines begin with a space; what was signed is everything
 * but that header (Git, Documentation/gitformat-signature). Bytes, not text: a message may be in any encoding.
 */
export function splitCommit(raw: Uint8Array): SignedObject {
  const bytes = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
  const payload: Buffer[] = [];
  const signature: string[] = [];
  let [at, isSignature, times]: [number, boolean, number] = [0, false, 0];
  let atMs: number | undefined;
  let isDropped = false;
  for (;;) {
    const end = bytes.indexOf(NEWLINE, at);
    // The empty line before the message, or the end: what follows is all payload.
    if (end < 0 || end === at) break;
    const line = bytes.subarray(at, end + 1);
    const text = line.toString("latin1");
    const goesOn = text.startsWith(" ");
    if (!goesOn) {
      isSignature = text.startsWith("gpgsig ");
      // Of the same commit in a repository with other ids; Git leaves it out too.
      isDropped = text.startsWith("gpgsig-sha256 ");
      if (isSignature) times += 1;
      if (text.startsWith("committer ")) atMs = timeOf(text);
    }
    if (isSignature) signature.push(text.slice(goesOn ? 1 : "gpgsig ".length));
    else if (!isDropped) payload.push(line);
    at = end + 1;
  }
  payload.push(bytes.subarray(at));
  // Two would leave open which one was meant.
  if (times > 1) throw new RangeError("it has two signatures");
  return {
    payload: Buffer.concat(payload),
    ...(signature.length > 0 && { signature: signature.join("") }),
    ...(atMs !== undefined && { atMs }),
  };
}

const TAG_SIGNATURES = ["-----BEGIN SSH SIGNATURE-----\n", "-----BEGIN PGP SIGNATURE-----\n"];

/** Splits a raw tag: its signature follows the message. */
export function splitTag(raw: Uint8Array): SignedObject & { readonly object: string; readonly type: string; readonly name: string } {
  const bytes = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
  const starts = TAG_SIGNATURES.map((marker) => bytes.lastIndexOf(`\n${marker}`)).filter((at) => at >= 0);
  const at = starts.length === 0 ? bytes.length : Math.max(...starts) + 1;
  const header = bytes.subarray(0, bytes.indexOf("\n\n") + 1 || bytes.length).toString("latin1");
  // In just this order, as Git writes it: what stands elsewhere is not what Git reads.
  const [, object = "", type = "", name = "", tagger = ""] =
    /^object ([0-9a-f]{40})\ntype ([a-z]+)\ntag ([^\n]+)\n(?:tagger ([^\n]*)\n)?/.exec(header) ?? [];
  const atMs = timeOf(`tagger ${tagger}`);
  return {
    object,
    type,
    name,
    payload: bytes.subarray(0, at),
    ...(at < bytes.length && { signature: bytes.subarray(at).toString("latin1") }),
    ...(atMs !== undefined && { atMs }),
  };
}

function timeOf(line: string): number | undefined {
  const seconds = />\s(\d{1,12})\s[+-]\d{4}\s*$/.exec(line)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1_000;
}
