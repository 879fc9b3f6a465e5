import { createHash } from "node:crypto";

export type ObjectType = "blob" | "commit" | "tag" | "tree";

/** The id that Git gives to an object of these bytes. */
export function objectId(type: ObjectType, bytes: Uint8Array): string {
  return createHash("sha1").update(`${type} ${bytes.length}\0`).update(bytes).digest("hex");
}

/** The id that Git gives to a file of these bytes. */
export function blobId(bytes: Uint8Array): string {
  return objectId("blob", bytes);
}
