import { createHash, randomBytes } from "node:crypto";
import { CodedError } from "@muster/shared/errors";
import { isClusterName } from "@muster/shared/model";
import type { Clock } from "@muster/shared/runtime";
import { LogField, type Logger } from "@muster/shared/telemetry";
import type { AgentPublicKeys } from "@muster/shared/wire";
import { TokenBucket } from "../token-bucket.ts";
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
  sameKeys,
  UNKNOWN_KEY,
  withoutEnded,
} from "./cluster-access.ts";

/** An admission that was decided, and is to be carried out. */
interface Admission {
  readonly cluster: string;
  /** What the decision went by. */
  readonly decided: ClusterAccess;
  /** What came of it. */
  readonly access: ClusterAccess;
  readonly keys: CheckedKeys;
  readonly origin: IdentityOrigin;
}

/** What an agent gets, and gives to nobody. The private halves of all of it are its own. */
export interface AgentGrant {
  /** Client certificate, PEM. */
  readonly certificate: string;
  /** User JWT of NATS, for the agent's nkey. */
  readonly natsJwt: string;
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
  /** The same by the NATS key: nobody may show another one's. */
  readonly natsProof: Uint8Array;
}

/** A token in clear, which the hub does not keep. */
export interface CreatedToken {
  readonly token: string;
  /** ISO 8601. */
  readonly expiresAt: string;
}

/** A certificate that TLS has verified. */
export interface MetCertificate {
  readonly fingerprint: string;
  /** SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  readonly endsAtMs: number;
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
  /**
   * Somebody has come with a certificate of ours. Where nobody is known to act for the cluster, because the list was lost, it is this one from
   * now on: so that he can be revoked, and others have to be approved.
   */
  meet(cluster: string, certificate: MetCertificate): void;
  /** Git says which keys its agent has, so that it cannot change them. */
  isPinned(cluster: string): boolean;
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

/** What one agent may ask for in the long run and at once: each new certificate is a write to the disk, each new key a revocation for NATS. */
const RENEWALS = { burst: 20, perSecond: 1 / 60 };
const KEY_CHANGES = { burst: 4, perSecond: 4 / 86_400 };

/** 256 bits; the prefix lets scanners for secrets find it. */
const TOKEN_PREFIX = "muster_join_";
const TOKEN_BYTES = 32;

const REFUSED = "The enrolment was refused; the hub's log says why";

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

  const budgets = new Map<string, { readonly renewals: TokenBucket; readonly keys: TokenBucket }>();
  function mayRenew(cluster: string, isNew: boolean): boolean {
    const nowMs = clock.monotonicMs();
    let budget = budgets.get(cluster);
    if (!budget) {
      budget = { renewals: new TokenBucket({ ...RENEWALS, nowMs }), keys: new TokenBucket({ ...KEY_CHANGES, nowMs }) };
      budgets.set(cluster, budget);
    }
    return isNew ? budget.keys.take(1, nowMs) : budget.renewals.take(1, nowMs);
  }

  /** Keys are one agent's: who showed another one's could have them revoked. */
  function isElsewhere(cluster: string, { fingerprint, nats }: CheckedKeys): boolean {
    const isSame = (keys: { readonly fingerprint: string; readonly nats: string } | undefined) =>
      keys !== undefined && (keys.fingerprint === fingerprint || keys.nats === nats);
    return [...store.clusters].some((other) => {
      if (other === cluster || options.hasLeft(other)) return false;
      const { current, pending, revoked } = store.get(other);
      return isSame(current?.keys) || isSame(pending?.keys) || revoked.some(isSame);
    });
  }

  function refuse(cluster: string, why: string): CodedError {
    // Why stands in the log only: whoever tries tokens learns nothing from the answer.
    logger.warn({ [LogField.Cluster]: cluster, code: "ENROLMENT_REFUSED" }, `an enrolment was refused: ${why}`);
    return new CodedError("ENROLMENT_REFUSED", REFUSED);
  }

  function proven({ cluster, token, keys, proof, natsProof }: EnrolmentQuestion): CheckedKeys {
    const checked = checkKeys(keys);
    if (!checked) throw refuse(cluster, "its keys are not what they must be");
    if (!isProven(keys, { trustDomain, cluster, token }, { tls: proof, nats: natsProof }))
      throw refuse(cluster, "it does not have the keys that it shows");
    if (isElsewhere(cluster, checked)) throw refuse(cluster, "one of its keys is another cluster's");
    return checked;
  }

  async function admit(admission: Admission): Promise<AgentGrant> {
    const { cluster, decided, access, keys, origin } = admission;
    const { grant, endsAtMs } = await issuer.issue(cluster, keys);
    // Revoked or approved meanwhile: what was decided before is void.
    if (store.get(cluster) !== decided) throw refuse(cluster, "who may act for it has changed meanwhile");
    const before = access.current;
    const isSame = before?.keys.fingerprint === keys.fingerprint;
    const current = {
      keys: kept(keys),
      origin: isSame ? before.origin : origin,
      since: isSame ? before.since : now(),
      // One that was issued before may be good for longer.
      certificateEndsAt: new Date(Math.max(endsAtMs, isSame ? Date.parse(before.certificateEndsAt) : 0)).toISOString(),
    };
    store.set(cluster, makeCurrent(withoutEnded(access, clock.wallMs()), current));
    if (!isSame) {
      logger.info({ [LogField.Cluster]: cluster, fingerprint: keys.fingerprint, origin }, "an agent acts for the cluster from now on");
      options.onChange(cluster);
    }
    return grant;
  }

  return {
    access: (cluster) => store.get(cluster),
    revokedNatsKeys() {
      const keys: Record<string, number> = { ...revokedNatsKeys(store, clock.wallMs()) };
      for (const cluster of [...store.clusters].sort()) {
        const access = store.get(cluster);
        const [nats = UNKNOWN_KEY, atMs] = [access.current?.keys.nats, barredAtMs(cluster, access)];
        if (nats !== UNKNOWN_KEY && atMs !== undefined) keys[nats] = toSeconds(atMs);
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
        // Anybody may ask for anything: a name that is none is not even logged.
        if (!isClusterName(cluster)) throw new CodedError("ENROLMENT_REFUSED", REFUSED);
        if (!options.isDeclared(cluster)) throw refuse(cluster, "Git declares no such cluster");
        const keys = proven(question);
        const wanted = options.wantedOf(cluster);
        const decided = store.get(cluster);
        const { outcome, origin, reason, access } = decideEnrolment(decided, {
          keys: kept(keys),
          ...(token !== "" && { tokenDigest: sha256(token) }),
          ...(wanted !== undefined && { wanted }),
          nowMs: clock.wallMs(),
        });
        if (outcome === "refused" || (outcome === "admitted" && !origin))
          throw refuse(cluster, "its keys are not the cluster's, or its token is not good");
        if (outcome === "admitted" && origin) return { outcome, grant: await admit({ cluster, decided, access, keys, origin }) };
        if (access !== decided) store.set(cluster, access);
        if (access.pending?.since !== decided.pending?.since)
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
        if (!isNew && known && !sameKeys(known, kept(keys))) throw refuse(cluster, "it wants other keys beside the same TLS key");
        const wanted = options.wantedOf(cluster);
        if (wanted && !sameKeys(wanted, kept(keys))) throw refuse(cluster, "Git says which keys it has");
        if (!mayRenew(cluster, isNew)) throw refuse(cluster, "it renews more often than anybody has to");
        return admit({ cluster, decided: access, access, keys, origin: isNew ? "renewal" : "certificate" });
      }),
    meet(cluster, { fingerprint, spki, endsAtMs }) {
      const access = store.get(cluster);
      if (access.current || !mayAct(access, fingerprint, options.wantedOf(cluster))) return;
      const keys = { fingerprint, tls: Buffer.from(spki).toString("base64"), nats: UNKNOWN_KEY, encryption: UNKNOWN_KEY };
      const certificateEndsAt = new Date(endsAtMs).toISOString();
      store.set(cluster, { ...access, current: { keys, origin: "certificate", since: now(), certificateEndsAt } });
    },
    isPinned: (cluster) => options.wantedOf(cluster) !== undefined,
    mayAct: (cluster, fingerprint) => mayAct(store.get(cluster), fingerprint, options.wantedOf(cluster)),
    approve(cluster, fingerprint) {
      const access = store.get(cluster);
      if (!access.pending) throw new CodedError("AGENT_NOT_PENDING", `Nobody waits for an approval of ${cluster}`);
      if (fingerprint !== undefined && access.pending.keys.fingerprint !== fingerprint)
        throw new CodedError("AGENT_NOT_PENDING", `It is another agent that waits for an approval of ${cluster} now`);
      const { keys } = access.pending;
      const wanted = options.wantedOf(cluster);
      if (wanted && !sameKeys(wanted, keys))
        throw new CodedError("AGENT_NOT_PENDING", `Git names another agent for ${cluster} (spec.identity); nobody else can be approved`);
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

/** Public NATS keys that were revoked while a JWT of theirs may be good, and when, in seconds since 1970. */
export function revokedNatsKeys(store: Pick<AccessStore, "clusters" | "get">, nowMs: number): Readonly<Record<string, number>> {
  const revoked = [...store.clusters].sort().flatMap((cluster) => store.get(cluster).revoked);
  const recent = revoked.filter(({ nats, at }) => nats !== UNKNOWN_KEY && Date.parse(at) > nowMs - MAX_JWT_MS);
  return Object.fromEntries(recent.map(({ nats, at }) => [nats, toSeconds(Date.parse(at))]));
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
