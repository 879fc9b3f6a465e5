/** How an identity became its cluster's. */
export type IdentityOrigin = "token" | "approval" | "git" | "certificate" | "renewal";

/** Public keys as they are kept: bytes in base64. */
export interface KeptKeys {
  readonly fingerprint: string;
  readonly tls: string;
  readonly nats: string;
  readonly encryption: string;
}

/** The same without their name, as a Cluster document has them. */
export type PublicKeysInGit = Omit<KeptKeys, "fingerprint">;

/** The identity that acts for a cluster. */
export interface CurrentIdentity {
  readonly keys: KeptKeys;
  readonly origin: IdentityOrigin;
  /** ISO 8601. */
  readonly since: string;
  /** When the last certificate that was issued to it ends; ISO 8601. */
  readonly certificateEndsAt: string;
}

/** Why somebody who wants to act for a cluster has to wait for a person. */
export type PendingReason = "another-identity" | "expired";

/** An identity that has shown that it may ask, and waits for an approval. */
export interface PendingIdentity {
  readonly keys: KeptKeys;
  readonly reason: PendingReason;
  readonly since: string;
}

/** An identity that must not act any more, for as long as a certificate of it may be good. */
export interface RevokedIdentity {
  readonly fingerprint: string;
  readonly nats: string;
  readonly at: string;
}

/** A one-time token as it is kept: never itself. */
export interface KeptToken {
  /** SHA-256, hex. */
  readonly digest: string;
  readonly expiresAt: string;
  readonly createdBy: string;
  /** Who has used it: it is good for this one again, whose answer was perhaps lost, and for nobody else. */
  readonly usedBy?: string;
}

/** Everything that the hub knows of who may act for one cluster. */
export interface ClusterAccess {
  readonly current?: CurrentIdentity;
  readonly pending?: PendingIdentity;
  readonly token?: KeptToken;
  readonly revoked: readonly RevokedIdentity[];
}

/** In place of a key that is not known: only its certificate has been seen. */
export const UNKNOWN_KEY = "";

export const NO_ACCESS: ClusterAccess = { revoked: [] };

/** What somebody wants who has proven that the keys are his. */
export interface EnrolmentRequest {
  readonly keys: KeptKeys;
  /** SHA-256 of the token, hex; absent: he shows none. */
  readonly tokenDigest?: string;
  /** Keys that the cluster's document in Git asks for; absent: it asks for none. */
  readonly wanted?: PublicKeysInGit;
  readonly nowMs: number;
}

/** `admitted`: he is the cluster's agent. `pending`: a person has to approve. `refused`: no more is said. */
export interface EnrolmentDecision {
  readonly outcome: "admitted" | "pending" | "refused";
  readonly origin?: IdentityOrigin;
  readonly reason?: PendingReason;
  /** What is to be kept, before anybody is answered. */
  readonly access: ClusterAccess;
}

/**
 * Who becomes the agent of a cluster. A token brings in the first identity; every other one waits for a person, so that a stolen token takes no
 * cluster away from its agent. What Git says goes before everything but a revocation.
 */
export function decideEnrolment(access: ClusterAccess, request: EnrolmentRequest): EnrolmentDecision {
  const { keys, wanted, nowMs } = request;
  const refused: EnrolmentDecision = { outcome: "refused", access };
  if (access.revoked.some(({ fingerprint, nats }) => fingerprint === keys.fingerprint || nats === keys.nats)) return refused;
  if (wanted) return sameKeys(wanted, keys) ? admit(access, "git") : refused;
  const isCurrent = access.current?.keys.fingerprint === keys.fingerprint;
  // His certificate is good, and its renewal or its answer was lost. Other keys beside the same TLS key are a renewal's business.
  if (isCurrent && Date.parse(access.current?.certificateEndsAt ?? "") > nowMs) {
    return sameKeys(access.current?.keys, keys) ? admit(access, access.current?.origin ?? "token") : refused;
  }
  if (isCurrent) return wait(access, keys, "expired", nowMs);
  if (access.pending?.keys.fingerprint === keys.fingerprint) {
    return sameKeys(access.pending.keys, keys) ? { outcome: "pending", reason: access.pending.reason, access } : refused;
  }
  const token = goodToken(access, request);
  if (!token) return refused;
  const used: ClusterAccess = { ...access, token: { ...token, usedBy: keys.fingerprint } };
  return access.current ? wait(used, keys, "another-identity", nowMs) : admit(used, "token");
}

function admit(access: ClusterAccess, origin: IdentityOrigin): EnrolmentDecision {
  return { outcome: "admitted", origin, access };
}

function wait(access: ClusterAccess, keys: KeptKeys, reason: PendingReason, nowMs: number): EnrolmentDecision {
  const known = access.pending?.keys.fingerprint === keys.fingerprint && sameKeys(access.pending.keys, keys);
  // Who comes without a token takes the place of nobody who came with one.
  if (access.pending && !known && reason === "expired") return { outcome: "pending", reason, access };
  const pending = known && access.pending ? access.pending : { keys, reason, since: new Date(nowMs).toISOString() };
  return { outcome: "pending", reason, access: { ...access, pending } };
}

/** Whether they are the same, as far as the first are known. */
export function sameKeys(a: PublicKeysInGit | undefined, b: PublicKeysInGit): boolean {
  if (!a || a.tls !== b.tls) return false;
  return [UNKNOWN_KEY, b.nats].includes(a.nats) && [UNKNOWN_KEY, b.encryption].includes(a.encryption);
}

function goodToken({ token }: ClusterAccess, { tokenDigest, keys, nowMs }: EnrolmentRequest): KeptToken | undefined {
  if (!token || tokenDigest === undefined) return undefined;
  // Digests, so that the time that this takes tells nothing of the token.
  if (token.digest !== tokenDigest || Date.parse(token.expiresAt) <= nowMs) return undefined;
  return token.usedBy === undefined || token.usedBy === keys.fingerprint ? token : undefined;
}

/** The identity becomes the cluster's; who was it before is revoked. */
export function makeCurrent(access: ClusterAccess, identity: CurrentIdentity): ClusterAccess {
  const before = access.current;
  const isOther = before !== undefined && before.keys.fingerprint !== identity.keys.fingerprint;
  const { pending, ...rest } = access;
  return {
    ...rest,
    current: identity,
    ...(pending && pending.keys.fingerprint !== identity.keys.fingerprint && { pending }),
    revoked: isOther ? revokedWith(access, before.keys, identity.since) : access.revoked,
  };
}

/** Nobody acts for the cluster any more: neither who does nor who waits, nor with a token that was given out. */
export function revokeAll(access: ClusterAccess, at: string): ClusterAccess {
  const { current, pending } = access;
  let { revoked } = access;
  for (const keys of [current?.keys, pending?.keys]) if (keys) revoked = revokedWith({ revoked }, keys, at);
  return { revoked };
}

/** Milliseconds after which no certificate of anybody who was revoked can be good: none lasts longer than a year, and clocks differ. */
const FORGET_MS = 370 * 86_400_000;

/** Without those who are kept out by the end of their certificates. */
export function withoutEnded(access: ClusterAccess, nowMs: number): ClusterAccess {
  const revoked = access.revoked.filter(({ at }) => Date.parse(at) + FORGET_MS > nowMs);
  return revoked.length === access.revoked.length ? access : { ...access, revoked };
}

function revokedWith({ revoked }: ClusterAccess, keys: KeptKeys, at: string): readonly RevokedIdentity[] {
  const others = revoked.filter(({ fingerprint }) => fingerprint !== keys.fingerprint);
  return [...others, { fingerprint: keys.fingerprint, nats: keys.nats, at }];
}
