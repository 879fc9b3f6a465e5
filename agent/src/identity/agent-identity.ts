import { X509Certificate } from "node:crypto";
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
const GRANT = z.strictObject({ certificate: z.string(), natsJwt: z.string(), ca: z.string(), signingKeys: z.string() });
const KEPT = z.strictObject({
  version: z.literal(1),
  keys: KEYS,
  grant: GRANT.exactOptional(),
  /** Keys that the hub is to be shown in place of these: whether it knows them already is not known. */
  next: KEYS.exactOptional(),
});
type Kept = z.output<typeof KEPT>;

/** Share of a lifetime after which it is renewed: 50 to 70 %, so that a thousand agents that joined at once do not come back at once. */
const RENEW_AFTER = { least: 0.5, more: 0.2 };
/** Milliseconds between two questions of who waits for an approval. */
const PENDING_MS = 10_000;
/** Milliseconds after which something is tried again at the latest. */
const MAX_WAIT_MS = 60_000;

export function createAgentIdentity(options: AgentIdentityOptions): AgentIdentity {
  const { cluster, trustDomain, store, link, clock, random, logger } = options;
  const granted = Promise.withResolvers<void>();
  const backoff = createBackoff({ initialMs: 1_000, maxMs: MAX_WAIT_MS, random });
  const wakeup = new Wakeup();
  let kept: Kept | undefined;
  let rotating = false;
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
    const { certificate, natsJwt, ca, signingKeys } = grant;
    const next: Kept = { version: 1, keys, grant: { certificate, natsJwt, ca, signingKeys } };
    await keep(next);
    kept = next;
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
    await take(wanted, await link.renew({ cert: grant.certificate, key: keys.tls, ca: grant.ca }, question));
    logger.info({ [LogField.Cluster]: cluster }, wanted === keys ? "the credentials were renewed" : "the agent has other keys now");
  }

  /** Refused with the old keys, the hub may know the new ones already: its answer was lost. */
  async function changeKeys(keys: AgentKeys, grant: NonNullable<Kept["grant"]>, next: AgentKeys): Promise<number> {
    try {
      await renewWith(keys, grant, next);
      return 0;
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== "ENROLMENT_REFUSED") throw error;
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

  /** Does what is due. Gives the milliseconds until something else is. */
  async function step(): Promise<number> {
    kept ??= await load();
    if (rotating) {
      rotating = false;
      kept = await withNext(kept);
    }
    const { keys, grant, next } = kept;
    // What has ended is good for resuming work all the same, and is refused by the hub and NATS until it is renewed.
    if (grant) granted.resolve();
    if (!grant || lifetimeOf(grant.certificate).endsAtMs <= clock.wallMs()) return enroll(keys);
    if (next) return changeKeys(keys, grant, next);
    const dueMs = renewalAt(grant) - clock.wallMs();
    if (dueMs > 0) return dueMs;
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
      return { cert: grant.certificate, key: keys.tls, ca: grant.ca, natsJwt: grant.natsJwt, natsSeed: keys.nats };
    },
    rotate() {
      rotating = true;
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
