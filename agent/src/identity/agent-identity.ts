import { createHash, X509Certificate } from "node:crypto";
import { CodedError } from "@muster/shared/errors";
import type { EnrollRequest, Grant__Output } from "@muster/shared/rpc";
import { type Clock, createBackoff, type Random, Wakeup } from "@muster/shared/runtime";
import { LogField, type Logger } from "@muster/shared/telemetry";
import { z } from "zod";
import type { StateStore } from "../pull/state-store.ts";
import type { EnrolmentAnswer } from "../report/enrolment-client.ts";
import { type AgentKeys, createAgentKeys, fingerprintOf, questionOf } from "./agent-keys.ts";

/** What the agent is to its hub and to NATS, right now. */
export interface Credentials {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
  /** Whose certificate the hub must have; PEM. */
  readonly ca: string;
  readonly natsJwt: string;
  readonly natsSeed: string;
}

/** Where credentials come from. */
export interface AgentIdentity {
  /** Throws ENROLMENT_PENDING, or why there are none yet. */
  current(): Credentials;
  /** Makes other keys, and renews with them. */
  rotate(): void;
  /** The hub has refused what the agent has: asks for other credentials now, at most once a minute. */
  doubt(): void;
  /** Resolves when there are some; rejects when the signal aborts. */
  ready(signal: AbortSignal): Promise<void>;
  /** Enrols, and renews what ends, until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

/** How the hub is asked; see `report/enrolment-client.ts`. */
export interface EnrolmentLink {
  enroll(request: EnrollRequest): Promise<EnrolmentAnswer>;
  renew(current: Pick<Credentials, "cert" | "key" | "ca">, request: EnrollRequest): Promise<Grant__Output>;
}

/** Options of {@link createAgentIdentity}. */
export interface AgentIdentityOptions {
  readonly cluster: string;
  readonly trustDomain: string;
  /** Certificates of the hub's authority, PEM, as the cluster's owner has pinned them; nothing that a hub says adds to them. */
  readonly ca: () => string;
  /** The one-time token, where there is one; asked for each time. */
  readonly token: () => string | undefined;
  readonly store: Pick<StateStore, "read" | "write">;
  readonly link: EnrolmentLink;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const IDENTITY = "identity";
const KEYS = z.strictObject({ tls: z.string(), nats: z.string(), encryption: z.string() });
const GRANT = z.strictObject({ certificate: z.string(), natsJwt: z.string() });
const KEPT = z.strictObject({
  version: z.literal(1),
  keys: KEYS,
  grant: GRANT.exactOptional(),
  /** Keys that the hub is to be shown in place of these: whether it knows them already is not known. */
  next: KEYS.exactOptional(),
  /** SHA-256 of the last token with which other keys were tried. */
  tried: z.string().exactOptional(),
});
type Kept = z.output<typeof KEPT>;

/** Share of a lifetime after which it is renewed: 50 to 70 %, so that a thousand agents that joined at once do not come back at once. */
const RENEW_AFTER = { least: 0.5, more: 0.2 };
/** Milliseconds between two questions of who waits for an approval. */
const PENDING_MS = 10_000;
/** Milliseconds between two tries of keys that the hub has refused. */
const NEXT_AGAIN_MS = 3_600_000;
/** Milliseconds after credentials came in which no others are asked for. */
const REST_MS = 60_000;
/** Milliseconds after which something is tried again at the latest. */
const MAX_WAIT_MS = 60_000;

export function createAgentIdentity(options: AgentIdentityOptions): AgentIdentity {
  const { cluster, trustDomain, store, link, clock, random, logger } = options;
  const granted = Promise.withResolvers<void>();
  const backoff = createBackoff({ initialMs: 1_000, maxMs: MAX_WAIT_MS, random });
  const wakeup = new Wakeup();
  let kept: Kept | undefined;
  let rotating = false;
  let doubted = false;
  let nextNotBeforeMs = 0;
  let notBeforeMs = 0;
  let problem = new CodedError("ENROLMENT_PENDING", "The agent has not enrolled yet");

  /** Private keys are kept before they are shown to anybody: whoever asked with them and died asks with them again. */
  async function load(): Promise<Kept> {
    const bytes = await store.read(IDENTITY);
    if (bytes) return KEPT.parse(JSON.parse(bytes.toString()));
    const made: Kept = { version: 1, keys: createAgentKeys() };
    await keep(made);
    return made;
  }

  const keep = (identity: Kept) => store.write(IDENTITY, Buffer.from(JSON.stringify(identity)));

  async function take(keys: AgentKeys, grant: Grant__Output): Promise<void> {
    const { certificate, natsJwt } = grant;
    // The token has done what it was for: a later refusal is none of its business.
    const tried = digestOf(options.token()) ?? kept?.tried;
    const next: Kept = { version: 1, keys, grant: { certificate, natsJwt }, ...(tried && { tried }) };
    await keep(next);
    kept = next;
    notBeforeMs = clock.monotonicMs() + REST_MS;
    backoff.reset();
    granted.resolve();
  }

  /** Asks without a certificate: for the first one, or because it has ended. Gives the milliseconds to wait then. */
  async function enroll(keys: AgentKeys): Promise<number> {
    const token = options.token() ?? "";
    const answer = await link.enroll(questionOf(keys, { cluster, trustDomain, token }));
    if (answer.outcome === "admitted") {
      await take(keys, answer.grant);
      logger.info({ [LogField.Cluster]: cluster }, "enrolled: this agent acts for the cluster");
      return 0;
    }
    const fingerprint = fingerprintOf(keys);
    const message =
      answer.reason === "expired"
        ? `The certificate has ended; an operator must approve the agent with the fingerprint ${fingerprint}`
        : `Another agent acts for the cluster; an operator must approve the one with the fingerprint ${fingerprint}`;
    if (problem.message !== message) logger.warn({ code: "ENROLMENT_PENDING", fingerprint }, message);
    problem = new CodedError("ENROLMENT_PENDING", message);
    return PENDING_MS;
  }

  /** `keys`: the ones that the certificate is for; `wanted`: the same, or the ones that are to come. */
  async function renewWith(keys: AgentKeys, grant: NonNullable<Kept["grant"]>, wanted: AgentKeys): Promise<void> {
    const question = questionOf(wanted, { cluster, trustDomain, token: "" });
    await take(wanted, await link.renew({ cert: grant.certificate, key: keys.tls, ca: options.ca() }, question));
    logger.info({ [LogField.Cluster]: cluster }, wanted === keys ? "the credentials were renewed" : "the agent has other keys now");
  }

  /** Refused with the old keys, the hub may know the new ones already: its answer was lost. */
  async function changeKeys(keys: AgentKeys, grant: NonNullable<Kept["grant"]>, next: AgentKeys): Promise<number> {
    try {
      await renewWith(keys, grant, next);
      return 0;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return enroll(next);
    }
  }

  /** As for the first keys: kept before anybody sees them. */
  async function withNext(now: Kept): Promise<Kept> {
    if (!now.grant || now.next) return now;
    const changed: Kept = { ...now, next: createAgentKeys() };
    await keep(changed);
    return changed;
  }

  /**
   * What the hub refuses may be keys that were revoked. With a token that was not tried yet somebody wants this agent back: it comes with other
   * keys then. Undefined: there is none.
   */
  async function anew(now: Kept): Promise<Kept | undefined> {
    const token = options.token();
    const digest = digestOf(token);
    if (!digest || now.tried === digest) return undefined;
    // Other keys that the hub may have taken already are not given up for newer ones.
    const changed: Kept = { ...now, next: now.next ?? createAgentKeys(), tried: digest };
    await keep(changed);
    nextNotBeforeMs = 0;
    return changed;
  }

  /** Does what is due. Gives the milliseconds until something else is. */
  async function step(): Promise<number> {
    kept ??= await load();
    if (rotating) {
      rotating = false;
      kept = await withNext(kept);
    }
    try {
      return await stepWith(kept);
    } catch (error) {
      const changed = isRefusal(error) ? await anew(kept) : undefined;
      if (!changed) throw error;
      kept = changed;
      return 0;
    }
  }

  async function stepWith({ keys, grant, next }: Kept): Promise<number> {
    // What has ended is good for resuming work all the same, and is refused by the hub and NATS until it is renewed.
    if (grant) granted.resolve();
    const isGood =
      grant !== undefined && lifetimeOf(grant.certificate).endsAtMs > clock.wallMs() && isIssuedBy(grant.certificate, options.ca());
    if (next && clock.monotonicMs() >= nextNotBeforeMs) {
      try {
        const waitMs = await (isGood ? changeKeys(keys, grant, next) : enroll(next));
        if (!isGood || waitMs !== PENDING_MS) return waitMs;
        // They wait for an approval; those that it has are good meanwhile.
        nextNotBeforeMs = clock.monotonicMs() + REST_MS;
      } catch (error) {
        if (!isRefusal(error)) throw error;
        // Whether the hub has taken them is not known, so they are kept; meanwhile the old ones may be good.
        nextNotBeforeMs = clock.monotonicMs() + NEXT_AGAIN_MS;
        logger.warn(
          { [LogField.Code]: "ENROLMENT_REFUSED" },
          "the hub does not take the agent's other keys; it goes on with those that it has",
        );
      }
    }
    // Clocks may differ by more than a lifetime: then everything would be due at once, again and again.
    const restMs = notBeforeMs - clock.monotonicMs();
    if (restMs > 0) return restMs;
    if (!isGood) return enroll(keys);
    const dueMs = doubted ? 0 : renewalAt(grant) - clock.wallMs();
    if (dueMs > 0) return dueMs;
    doubted = false;
    notBeforeMs = clock.monotonicMs() + REST_MS;
    await renewWith(keys, grant, keys);
    return 0;
  }

  const shares = new Map<string, number>();
  /** When the first of the two is through a good half of its life. */
  function renewalAt(grant: NonNullable<Kept["grant"]>): number {
    // Of one grant always the same moment.
    const share = shares.get(grant.certificate) ?? RENEW_AFTER.least + RENEW_AFTER.more * random();
    shares.clear();
    shares.set(grant.certificate, share);
    return Math.min(
      ...[lifetimeOf(grant.certificate), lifetimeOfJwt(grant.natsJwt)].map(
        ({ beganAtMs, endsAtMs }) => beganAtMs + share * (endsAtMs - beganAtMs),
      ),
    );
  }

  return {
    current() {
      const { keys, grant } = kept ?? {};
      if (!keys || !grant) throw problem;
      return { cert: grant.certificate, key: keys.tls, ca: options.ca(), natsJwt: grant.natsJwt, natsSeed: keys.nats };
    },
    rotate() {
      rotating = true;
      wakeup.wake();
    },
    doubt() {
      doubted = true;
      wakeup.wake();
    },
    async ready(signal) {
      const stopped = Promise.withResolvers<never>();
      const stop = () => stopped.reject(signal.reason);
      signal.addEventListener("abort", stop, { once: true });
      if (signal.aborted) stop();
      await Promise.race([granted.promise, stopped.promise]).finally(() => signal.removeEventListener("abort", stop));
    },
    async run(signal) {
      while (!signal.aborted) {
        let waitMs: number;
        try {
          waitMs = await step();
        } catch (error) {
          const coded = CodedError.from(error);
          waitMs = backoff.next();
          if (!kept?.grant) problem = coded;
          logger.warn({ [LogField.Code]: coded.code, err: coded }, kept?.grant ? "the credentials were not renewed" : "not enrolled yet");
        }
        // No longer than an hour: a clock may be set.
        if (waitMs > 0) await wakeup.wait(Math.min(waitMs, 3_600_000), signal, clock);
      }
    },
  };
}

function digestOf(token: string | undefined): string | undefined {
  return token ? createHash("sha256").update(token).digest("hex") : undefined;
}

function isRefusal(error: unknown): error is CodedError {
  return error instanceof CodedError && error.code === "ENROLMENT_REFUSED";
}

/** A certificate of another authority than the pinned one is none any more: that hub is not the one that is trusted now. */
function isIssuedBy(pem: string, bundle: string): boolean {
  const certificate = new X509Certificate(pem);
  const authorities = bundle.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  return authorities.some((authority) => certificate.verify(new X509Certificate(authority).publicKey));
}

function lifetimeOf(pem: string): { readonly beganAtMs: number; readonly endsAtMs: number } {
  const { validFrom, validTo } = new X509Certificate(pem);
  return { beganAtMs: Date.parse(validFrom), endsAtMs: Date.parse(validTo) };
}

/** Of what the hub has just given over its own connection: only the times are read, nothing is believed. */
function lifetimeOfJwt(jwt: string): { readonly beganAtMs: number; readonly endsAtMs: number } {
  const { iat, exp } = z
    .object({ iat: z.number(), exp: z.number() })
    .parse(JSON.parse(Buffer.from(jwt.split(".")[1] ?? "", "base64url").toString()));
  return { beganAtMs: iat * 1_000, endsAtMs: exp * 1_000 };
}
