import { createHash, randomBytes } from "node:crypto";
import { CodedError } from "@muster/shared/errors";
import type { Clock } from "@muster/shared/runtime";
import { LogField, type Logger } from "@muster/shared/telemetry";
import type { AgentPublicKeys } from "@muster/shared/wire";
import type { AccessStore } from "./access-store.ts";
import { type CheckedKeys, checkKeys, fingerprintOf, isProven } from "./agent-keys.ts";
import {
  type ClusterAccess,
  decideEnrolment,
  type IdentityOrigin,
  type KeptKeys,
  makeCurrent,
  type PendingReason,
  type PublicKeysInGit,
  revokeAll,
} from "./cluster-access.ts";

/** What an agent gets, and gives to nobody. The private halves of all of it are its own. */
export interface AgentGrant {
  /** Client certificate, PEM. */
  readonly certificate: string;
  /** User JWT of NATS, for the agent's nkey. */
  readonly natsJwt: string;
  /** Certificates of the hub's authority, PEM. */
  readonly ca: string;
  /** Public keys that sign slices, PEM. */
  readonly signingKeys: string;
}

/** The answer to somebody who has proven who he is. */
export type EnrolmentAnswer =
  | { readonly outcome: "admitted"; readonly grant: AgentGrant }
  | { readonly outcome: "pending"; readonly reason: PendingReason };

/** What an agent asks when it has no certificate that is good. Nothing of it is trusted. */
export interface EnrolmentQuestion {
  readonly cluster: string;
  /** Empty: none. */
  readonly token: string;
  readonly keys: AgentPublicKeys;
  /** Signature of the TLS key over `enrolmentStatement`. */
  readonly proof: Uint8Array;
}

/** A token in clear, which the hub does not keep. */
export interface CreatedToken {
  readonly token: string;
  /** ISO 8601. */
  readonly expiresAt: string;
}

/** Makes what an agent needs from its public keys. */
export interface GrantIssuer {
  issue(cluster: string, keys: AgentPublicKeys): Promise<{ readonly grant: AgentGrant; readonly endsAtMs: number }>;
}

/** Options of {@link createEnrolments}. */
export interface EnrolmentsOptions {
  readonly trustDomain: string;
  readonly store: AccessStore;
  readonly issuer: GrantIssuer;
  /** false: no such cluster in Git. */
  readonly isDeclared: (cluster: string) => boolean;
  /** true: Git was read, and says that there is no such cluster. Not before: nobody is shut out by what could not be read. */
  readonly hasLeft: (cluster: string) => boolean;
  /** Keys that the cluster's document in Git asks for, if it does. */
  readonly wantedOf: (cluster: string) => PublicKeysInGit | undefined;
  /** Somebody lost the right to act for the cluster, or another one got it. */
  readonly onChange: (cluster: string) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Who may act for which cluster. */
export interface Enrolments {
  /** A token for the first agent of a cluster; one that was given out before is void. Throws API_NOT_FOUND. */
  createToken(cluster: string, options: { readonly by: string; readonly ttlMs?: number }): CreatedToken;
  /** Throws ENROLMENT_REFUSED, which says no more than that. */
  enroll(question: EnrolmentQuestion): Promise<EnrolmentAnswer>;
  /** New credentials for the agent that acts for a cluster, perhaps with other keys. Throws ENROLMENT_REFUSED. */
  renew(cluster: string, fingerprint: string, question: EnrolmentQuestion): Promise<AgentGrant>;
  /** Whether the holder of a certificate of ours may act for the cluster. */
  mayAct(cluster: string, fingerprint: string): boolean;
  /** Who waits becomes the agent; who was it before is revoked. Throws AGENT_NOT_PENDING, also if it is not the one that was seen. */
  approve(cluster: string, fingerprint?: string): ClusterAccess;
  /** Nobody acts for the cluster any more. Throws API_NOT_FOUND if nobody ever did. */
  revoke(cluster: string): ClusterAccess;
  access(cluster: string): ClusterAccess;
  /** Public NATS keys that must not come in any more, and since when, in seconds since 1970. */
  revokedNatsKeys(): Readonly<Record<string, number>>;
}

/** Milliseconds that a token is good for, by default and at most. */
export const TOKEN_TTL_MS = 15 * 60_000;
export const MAX_TOKEN_TTL_MS = 24 * 3_600_000;

/** Milliseconds for which a JWT of NATS may be good: what was revoked before is void by itself. */
const MAX_JWT_MS = 25 * 3_600_000;

/** 256 bits; the prefix lets scanners for secrets find it. */
const TOKEN_PREFIX = "muster_join_";
const TOKEN_BYTES = 32;

/** Rounded up: what was issued in this very second is void too. */
const toSeconds = (ms: number) => Math.ceil(ms / 1_000);
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

export function createEnrolments(options: EnrolmentsOptions): Enrolments {
  const { store, issuer, clock, logger, trustDomain } = options;
  const now = () => new Date(clock.wallMs()).toISOString();
  /** Of one cluster one after the other: between what was read and what is written stands the making of a certificate. */
  const turns = new Map<string, Promise<unknown>>();

  const barred = new Map<string, number>();
  /** When it was seen first that Git declares the cluster no more, or another agent for it. */
  function barredAtMs(cluster: string, { current }: ClusterAccess): number | undefined {
    const wanted = options.wantedOf(cluster);
    const isBarred = options.hasLeft(cluster) || (wanted !== undefined && current !== undefined && wanted.nats !== current.keys.nats);
    if (!isBarred) barred.delete(cluster);
    else if (!barred.has(cluster)) barred.set(cluster, clock.wallMs());
    return barred.get(cluster);
  }

  function inTurn<T>(cluster: string, work: () => Promise<T>): Promise<T> {
    const before = turns.get(cluster) ?? Promise.resolve();
    const mine = before.then(work, work);
    turns.set(cluster, mine);
    const done = () => void (turns.get(cluster) === mine && turns.delete(cluster));
    mine.then(done, done);
    return mine;
  }

  function refuse(cluster: string, why: string): CodedError {
    // Why stands in the log only: whoever tries tokens learns nothing from the answer.
    logger.warn({ [LogField.Cluster]: cluster, code: "ENROLMENT_REFUSED" }, `an enrolment was refused: ${why}`);
    return new CodedError("ENROLMENT_REFUSED", "The enrolment was refused; the hub's log says why");
  }

  function proven({ cluster, token, keys, proof }: EnrolmentQuestion): CheckedKeys {
    const checked = checkKeys(keys);
    if (!checked) throw refuse(cluster, "its keys are not what they must be");
    if (!isProven(keys, { trustDomain, cluster, token }, proof)) throw refuse(cluster, "it does not have the key that it shows");
    return checked;
  }

  async function admit(cluster: string, access: ClusterAccess, keys: CheckedKeys, origin: IdentityOrigin): Promise<AgentGrant> {
    const { grant, endsAtMs } = await issuer.issue(cluster, keys);
    const before = access.current;
    const isSame = before?.keys.fingerprint === keys.fingerprint;
    const current = {
      keys: kept(keys),
      origin: isSame ? before.origin : origin,
      since: isSame ? before.since : now(),
      certificateEndsAt: new Date(endsAtMs).toISOString(),
    };
    store.set(cluster, makeCurrent(access, current));
    if (!isSame) {
      logger.info({ [LogField.Cluster]: cluster, fingerprint: keys.fingerprint, origin }, "an agent acts for the cluster from now on");
      options.onChange(cluster);
    }
    return grant;
  }

  return {
    access: (cluster) => store.get(cluster),
    revokedNatsKeys() {
      const keys: Record<string, number> = {};
      const oldestMs = clock.wallMs() - MAX_JWT_MS;
      for (const cluster of [...store.clusters].sort()) {
        const access = store.get(cluster);
        const { current, revoked } = access;
        for (const { nats, at } of revoked) if (Date.parse(at) > oldestMs) keys[nats] = toSeconds(Date.parse(at));
        const atMs = barredAtMs(cluster, access);
        if (current && atMs !== undefined) keys[current.keys.nats] = toSeconds(atMs);
      }
      return keys;
    },
    createToken(cluster, { by, ttlMs = TOKEN_TTL_MS }) {
      if (!options.isDeclared(cluster)) throw new CodedError("API_NOT_FOUND", `There is no cluster ${cluster} in Git`);
      const token = `${TOKEN_PREFIX}${randomBytes(TOKEN_BYTES).toString("base64url")}`;
      const expiresAt = new Date(clock.wallMs() + Math.min(ttlMs, MAX_TOKEN_TTL_MS)).toISOString();
      store.set(cluster, { ...store.get(cluster), token: { digest: sha256(token), expiresAt, createdBy: by } });
      return { token, expiresAt };
    },
    enroll: (question) =>
      inTurn(question.cluster, async () => {
        const { cluster, token } = question;
        if (!options.isDeclared(cluster)) throw refuse(cluster, "Git declares no such cluster");
        const keys = proven(question);
        const wanted = options.wantedOf(cluster);
        const { outcome, origin, reason, access } = decideEnrolment(store.get(cluster), {
          keys: kept(keys),
          ...(token !== "" && { tokenDigest: sha256(token) }),
          ...(wanted !== undefined && { wanted }),
          nowMs: clock.wallMs(),
        });
        if (outcome === "refused" || (outcome === "admitted" && !origin))
          throw refuse(cluster, "its keys are not the cluster's, or its token is not good");
        if (outcome === "admitted" && origin) return { outcome, grant: await admit(cluster, access, keys, origin) };
        if (access !== store.get(cluster)) store.set(cluster, access);
        logger.warn({ [LogField.Cluster]: cluster, fingerprint: keys.fingerprint, reason }, "an agent waits for an approval");
        return { outcome: "pending", reason: reason ?? "another-identity" };
      }),
    renew: (cluster, fingerprint, question) =>
      inTurn(cluster, async () => {
        const access = store.get(cluster);
        if (!mayAct(access, fingerprint, options.wantedOf(cluster))) throw refuse(cluster, "who renews does not act for it");
        const keys = proven(question);
        const isNew = keys.fingerprint !== fingerprint;
        if (isNew && access.revoked.some((one) => one.fingerprint === keys.fingerprint || one.nats === keys.nats))
          throw refuse(cluster, "its new keys are revoked");
        // Keys change together, or what is revoked would have to be told by halves.
        const known = access.current?.keys;
        if (!isNew && known && (known.nats !== keys.nats || known.encryption !== kept(keys).encryption))
          throw refuse(cluster, "it wants other keys beside the same TLS key");
        if (isNew && options.wantedOf(cluster)) throw refuse(cluster, "Git says which keys it has");
        return admit(cluster, access, keys, isNew ? "renewal" : "certificate");
      }),
    mayAct: (cluster, fingerprint) => mayAct(store.get(cluster), fingerprint, options.wantedOf(cluster)),
    approve(cluster, fingerprint) {
      const access = store.get(cluster);
      if (!access.pending) throw new CodedError("AGENT_NOT_PENDING", `Nobody waits for an approval of ${cluster}`);
      if (fingerprint !== undefined && access.pending.keys.fingerprint !== fingerprint)
        throw new CodedError("AGENT_NOT_PENDING", `It is another agent that waits for an approval of ${cluster} now`);
      const { keys } = access.pending;
      // As long as a token is good for: until then it has to come for its certificate.
      const certificateEndsAt = new Date(clock.wallMs() + MAX_TOKEN_TTL_MS).toISOString();
      store.set(cluster, makeCurrent(access, { keys, origin: "approval", since: now(), certificateEndsAt }));
      options.onChange(cluster);
      return store.get(cluster);
    },
    revoke(cluster) {
      const access = store.get(cluster);
      if (!access.current && !access.pending && !access.token)
        throw new CodedError("API_NOT_FOUND", `Nobody acts for ${cluster}, and nobody waits to`);
      store.set(cluster, revokeAll(access, now()));
      options.onChange(cluster);
      return store.get(cluster);
    },
  };
}

/**
 * Whoever shows a certificate of ours acts for its cluster, unless another identity does, or it was revoked. After a loss of the data folder
 * but for its keys nobody is known: then the certificate is enough.
 */
function mayAct({ current, revoked }: ClusterAccess, fingerprint: string, wanted: PublicKeysInGit | undefined): boolean {
  if (revoked.some((one) => one.fingerprint === fingerprint)) return false;
  if (wanted) return fingerprintOf(Buffer.from(wanted.tls, "base64")) === fingerprint;
  return current === undefined || current.keys.fingerprint === fingerprint;
}

function kept({ fingerprint, tls, nats, encryption }: CheckedKeys): KeptKeys {
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
  return { fingerprint, tls: base64(tls), nats, encryption: base64(encryption) };
}
