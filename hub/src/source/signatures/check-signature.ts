import { readFileSync } from "node:fs";
import { CodedError } from "@muster/shared/errors";
import { type AllowedSigner, parseAllowedSigners } from "./allowed-signers.ts";
import { type SignedObject, splitCommit, splitTag } from "./signed-object.ts";
import { parseSshSignature } from "./ssh-signature.ts";

/** What of a source must be signed: the commit, the annotated tag that the source names, or both. */
export const SIGNATURE_MODES = ["head", "tag", "tagAndHead"] as const;
export type SignatureMode = (typeof SIGNATURE_MODES)[number];

/** How a source's signatures are checked. */
export interface SignatureRule {
  readonly mode: SignatureMode;
  /** `allowed_signers` file of ssh-keygen(1). Read at every look, so that a new signer needs no restart. */
  readonly allowedSignersFile: string;
}

/** Raw objects of Git, as far as they are needed here. */
export interface SignedRevision {
  readonly commit: string;
  readonly rawCommit: Uint8Array;
  /** Where the source's ref is an annotated tag. */
  readonly rawTag?: Uint8Array;
  /** Name of that tag, as the source's ref has it. */
  readonly tagName?: string;
}

/** The namespace in which Git signs. */
const NAMESPACE = "git";

/**
 * Checks a revision, and gives who has signed it. Throws SOURCE_SIGNATURE where something that must be signed is not, by nobody who may, or in
 * a way that is not understood; CONFIG_INVALID where the file of signers cannot be read. Nothing is taken in part.
 */
export function checkSignatures(revision: SignedRevision, rule: SignatureRule): readonly string[] {
  const signers = readSigners(rule.allowedSignersFile);
  const by: string[] = [];
  if (rule.mode !== "head") by.push(checkTag(revision, signers));
  if (rule.mode !== "tag")
    by.push(
      check(
        split(() => splitCommit(revision.rawCommit), "commit"),
        `commit ${revision.commit}`,
        signers,
      ),
    );
  return by;
}

function checkTag({ rawTag, tagName, commit }: SignedRevision, signers: readonly AllowedSigner[]): string {
  if (!rawTag) throw refusal("the source's ref is no annotated tag, and its tag must be signed");
  const tag = split(() => splitTag(rawTag), "tag");
  // A signed tag of another commit, or of another tag, says nothing of this one.
  if (tag.type !== "commit" || tag.object !== commit) throw refusal("the tag is not of this commit itself");
  // Whoever may push, and not sign, could let it stand under another name.
  if (tag.name !== tagName) throw refusal(`the tag was signed as ${JSON.stringify(tag.name.slice(0, 100))}, which is another one`);
  return check(tag, "tag", signers);
}

function split<T>(parse: () => T, what: string): T {
  try {
    return parse();
  } catch (error) {
    throw refusal(`the ${what} cannot be read: ${(error as Error).message}`);
  }
}

function check(object: SignedObject, what: string, signers: readonly AllowedSigner[]): string {
  if (object.signature === undefined) throw refusal(`the ${what} is not signed`);
  const signature = split(() => parseSshSignature(object.signature ?? ""), what);
  const { fingerprint } = signature.key;
  if (signature.namespace !== NAMESPACE) throw refusal(`the signature of the ${what} is not made for Git`);
  const own = signers.filter(({ keyBlob }) => keyBlob.equals(signature.keyBlob));
  if (own.length === 0) throw refusal(`the ${what} is signed by ${fingerprint}, who is no signer of this source`);
  const signer = own.find((one) => isValid(one, object.atMs));
  if (!signer) throw refusal(`the ${what} is signed by ${fingerprint}, who might not sign it at that time, or not for Git`);
  if (!split(() => signature.verifies(object.payload), what)) throw refusal(`the signature of the ${what} does not fit what it is of`);
  return signer.principals;
}

function isValid({ namespaces, validAfterMs, validBeforeMs }: AllowedSigner, atMs: number | undefined): boolean {
  if (namespaces && !namespaces.includes(NAMESPACE)) return false;
  if (validAfterMs === undefined && validBeforeMs === undefined) return true;
  if (atMs === undefined) return false;
  return (validAfterMs === undefined || atMs >= validAfterMs) && (validBeforeMs === undefined || atMs < validBeforeMs);
}

function readSigners(path: string): readonly AllowedSigner[] {
  let signers: readonly AllowedSigner[];
  try {
    signers = parseAllowedSigners(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new CodedError("CONFIG_INVALID", `allowedSignersFile ${path}: ${(cause as Error).message}`, { cause, at: { file: path } });
  }
  if (signers.length === 0) throw new CodedError("CONFIG_INVALID", `allowedSignersFile ${path} names nobody`, { at: { file: path } });
  return signers;
}

function refusal(why: string): CodedError {
  return new CodedError("SOURCE_SIGNATURE", `The last good commit stays in force: ${why}`);
}
