import { zstdCompressSync } from "node:zlib";

/**
 * Compresses with zstd, at its default level of 3. Node gives the beginning of a buffer of 64 KiB, however short the result is: whoever
 * keeps it would keep all of that, so this gives a copy of its own.
 */
export function compress(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(zstdCompressSync(bytes));
}
