/** Bytes ⇄ model: canonical JSON, digests, the slice codec, signatures, blobs, and the NATS subject grammar. */
export { canonicalJson } from "./canonical.ts";
export { deletionApprovalId, digestBytes, digestHex, digestJson } from "./digest.ts";
export { type AgentPublicKeys, enrolmentStatement } from "./enrolment.ts";
export { type Envelope, keyId, openEnvelope, preAuthEncoding, SLICE_PAYLOAD_TYPE, sealEnvelope } from "./envelope.ts";
export type { ManifestLine } from "./manifest-line.ts";
export {
  CHUNK_BYTES,
  decodeManifestSet,
  type EncodedManifestSet,
  encodeManifestSet,
  MAX_MANIFEST_SET_BYTES,
  manifestSetText,
} from "./manifest-set.ts";
export { decodeSlice, encodeSlice, MAX_GENERATION, sliceContentDigest, type VerifiedSlice } from "./slice-codec.ts";
export {
  agentPermissions,
  BLOB_STREAM,
  BLOB_SUBJECTS,
  blobOfSubject,
  blobSubject,
  clusterOfSliceSubject,
  HUB_INBOX_PREFIX,
  inboxPrefix,
  SLICE_STREAM,
  SLICE_SUBJECTS,
  sliceSubject,
} from "./subjects.ts";
