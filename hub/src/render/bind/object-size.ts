import { CodedError, type InputPosition } from "@muster/shared/errors";
import { describeObjectRef, isJsonObject, type Manifest, objectRefOf } from "@muster/shared/model";

/** etcd's default limit of a request, in bytes. */
const MAX_OBJECT_BYTES = 1.5 * 1024 * 1024;
/** The API server's limit of all annotations of an object together, in bytes (ValidateAnnotationsSize). */
const MAX_ANNOTATION_BYTES = 256 * 1024;
/** The API server's limit of the data of a ConfigMap or Secret, in bytes (MaxSecretSize). */
const MAX_DATA_BYTES = 1024 * 1024;

/** Bytes of the object as JSON. Throws OBJECT_TOO_LARGE with the size and the limit. */
export function checkedSize(manifest: Manifest, at: InputPosition): number {
  const bytes = Buffer.byteLength(JSON.stringify(manifest));
  const refuse = (what: string, size: number, limit: number) =>
    new CodedError("OBJECT_TOO_LARGE", `${describeObjectRef(objectRefOf(manifest))} ${what} ${size} bytes; the API server takes ${limit}`, {
      at,
      data: { bytes: size, limit },
    });
  if (bytes > MAX_OBJECT_BYTES) throw refuse("has", bytes, MAX_OBJECT_BYTES);
  // Nothing in it can be larger than the whole: most objects need no closer look.
  if (bytes <= MAX_ANNOTATION_BYTES) return bytes;
  const annotations = textBytes(manifest.metadata["annotations"]);
  if (annotations > MAX_ANNOTATION_BYTES) throw refuse("has annotations of", annotations, MAX_ANNOTATION_BYTES);
  if (manifest.apiVersion === "v1" && (manifest.kind === "ConfigMap" || manifest.kind === "Secret")) {
    const text = textBytes(manifest["data"]);
    // A Secret's values, and binaryData, are base64: the limit counts what they decode to.
    const data = (manifest.kind === "Secret" ? (text * 3) / 4 : text) + (textBytes(manifest["binaryData"]) * 3) / 4;
    if (data > MAX_DATA_BYTES) throw refuse("has data of about", Math.round(data), MAX_DATA_BYTES);
  }
  return bytes;
}

function textBytes(map: unknown): number {
  if (!isJsonObject(map)) return 0;
  return Object.entries(map).reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key) + (typeof value === "string" ? Buffer.byteLength(value) : 0),
    0,
  );
}
