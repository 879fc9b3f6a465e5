/** Bytes ⇄ model: canonical JSON, digests, the slice codec, signatures, blobs, and the NATS subject grammar. */
export * from "./canonical.ts";
export * from "./digest.ts";
export * from "./envelope.ts";
export * from "./manifest-set.ts";
export * from "./slice-codec.ts";
export * from "./subjects.ts";
