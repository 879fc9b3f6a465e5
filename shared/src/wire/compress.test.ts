import { zstdDecompressSync } from "node:zlib";
import { expect, it } from "vitest";
import { compress } from "./compress.ts";

it("what is compressed holds no more memory than its own bytes, so that thousands of small ones can be kept", () => {
  const compressed = compress(Buffer.from("x".repeat(60_000)));
  expect(compressed.buffer.byteLength).toBe(compressed.length);
  expect(zstdDecompressSync(compressed).toString()).toBe("x".repeat(60_000));
});
