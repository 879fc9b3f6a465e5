import { gunzipSync, gzipSync } from "node:zlib";

/** Bytes of an unpacked dependency that are looked at. */
const MAX_ARCHIVE_BYTES = 64 * 1024 * 1024;

const BLOCK = 512;
/** Offsets and lengths of fields in a tar header (POSIX ustar). */
const SIZE = { at: 124, length: 12 };
const CHECKSUM = { at: 148, length: 8 };
const TYPE_AT = 156;

/** true for a packed chart. */
export function isArchive(path: string): boolean {
  return /\.(?:tgz|tar\.gz)$/.test(path);
}

/** A packed chart as text, tar headers included; undefined if it cannot be unpacked, which helm then says itself. */
export function unpackedText(content: Uint8Array): string | undefined {
  try {
    return gunzipSync(content, { maxOutputLength: MAX_ARCHIVE_BYTES }).toString("latin1");
  } catch {
    return undefined;
  }
}

/** The archive with each file's text (as latin1) changed; the archive itself if nothing changes or it cannot be read. */
export function changeArchive(content: Uint8Array, change: (text: string) => string): Uint8Array {
  const unpacked = unpackedText(content);
  if (unpacked === undefined) return content;
  const tar = Buffer.from(unpacked, "latin1");
  const parts: Uint8Array[] = [];
  let changed = false;
  for (let at = 0; at + BLOCK <= tar.length; ) {
    const header = tar.subarray(at, at + BLOCK);
    const size = readOctal(header, SIZE);
    // The zeros at the end, or something that is no tar.
    if (header[0] === 0 || !Number.isSafeInteger(size)) break;
    const end = at + BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    const text = tar.toString("latin1", at + BLOCK, at + BLOCK + size);
    const next = isRegular(header) ? change(text) : text;
    if (next === text) parts.push(tar.subarray(at, end));
    else parts.push(withSize(header, next.length), padded(next));
    changed ||= next !== text;
    at = end;
  }
  return changed ? gzipSync(Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]), { level: 1 }) : content;
}

function isRegular(header: Uint8Array): boolean {
  return header[TYPE_AT] === 0x30 || header[TYPE_AT] === 0;
}

function readOctal(header: Buffer, field: { readonly at: number; readonly length: number }): number {
  return Number.parseInt(header.toString("latin1", field.at, field.at + field.length).trim(), 8);
}

function withSize(header: Buffer, size: number): Buffer {
  const copy = Buffer.from(header);
  copy.write(`${size.toString(8).padStart(SIZE.length - 1, "0")}\0`, SIZE.at, "latin1");
  // The checksum is taken with its own field as spaces.
  copy.fill(0x20, CHECKSUM.at, CHECKSUM.at + CHECKSUM.length);
  const sum = copy.reduce((total, byte) => total + byte, 0);
  copy.write(`${sum.toString(8).padStart(6, "0")}\0 `, CHECKSUM.at, "latin1");
  return copy;
}

function padded(text: string): Buffer {
  const buffer = Buffer.alloc(Math.ceil(text.length / BLOCK) * BLOCK);
  buffer.write(text, "latin1");
  return buffer;
}
