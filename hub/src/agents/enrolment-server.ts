import { isIPv6 } from "node:net";
import { Server, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { CodedError } from "@muster/shared/errors";
import { type EnrollRequest__Output, type EnrollResponse, loadEnrolmentService } from "@muster/shared/rpc";
import type { Clock } from "@muster/shared/runtime";
import type { Logger } from "@muster/shared/telemetry";
import type { Enrolments } from "../enrolment/enrolments.ts";
import type { KeyedCertificate } from "../identity/certificates.ts";
import { TokenBucket } from "../token-bucket.ts";
import { bindServer, type ListeningServer, ServerTls } from "./agent-server.ts";
import { answerToWire, questionFromWire } from "./enrolment-wire.ts";

/** Options of {@link createEnrolmentServer}. */
export interface EnrolmentServerOptions {
  readonly server: KeyedCertificate;
  readonly enrolments: Pick<Enrolments, "enroll">;
  /** false: what Git declares is not known yet. */
  readonly isReady: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Questions that one address may ask in the long run and at once. Behind a load balancer all agents may have the same one. It bounds what a
 * flood costs the hub; that nobody guesses a token is owed to its length.
 */
const PER_SECOND = 50;
const BURST = 500;
/** The same for everybody together. */
const ALL = { burst: 2_000, perSecond: 200 };
/** Addresses that are remembered. */
const MAX_ADDRESSES = 10_000;
/** Longer than any question can be. */
const MAX_BYTES = 4 * 1024;

/** An answer of gRPC that is none of ours. */
interface Refusal {
  readonly code: status;
  readonly details: string;
}

/**
 * The port for who has no certificate yet. It serves one method, without a client certificate, and nothing that is asked there is trusted:
 * neither this server nor its port knows the service of the agents.
 */
export function createEnrolmentServer(options: EnrolmentServerOptions): ListeningServer {
  const { enrolments, clock, logger } = options;
  const buckets = new Map<string, TokenBucket>();
  const all = new TokenBucket({ ...ALL, nowMs: clock.monotonicMs() });
  const server = new Server({
    "grpc.max_receive_message_length": MAX_BYTES,
    "grpc.max_concurrent_streams": 4,
    "grpc.max_connection_age_ms": 60_000,
    "grpc.max_connection_age_grace_ms": 5_000,
    "grpc-node.max_session_memory": 1,
  });

  function mayAsk(peer: string): boolean {
    const address = networkOf(peer.slice(0, peer.lastIndexOf(":")));
    const nowMs = clock.monotonicMs();
    let bucket = buckets.get(address);
    if (!bucket) {
      // Forgetting the oldest only ever gives somebody more than his share.
      const [oldest] = buckets.keys();
      if (buckets.size >= MAX_ADDRESSES && oldest !== undefined) buckets.delete(oldest);
      bucket = new TokenBucket({ burst: BURST, perSecond: PER_SECOND, nowMs });
      buckets.set(address, bucket);
    }
    return bucket.take(1, nowMs) && all.take(1, nowMs);
  }

  /** Why a question is not even looked at; undefined: it is. */
  function hindrance(peer: string): Refusal | undefined {
    if (!mayAsk(peer)) return { code: status.RESOURCE_EXHAUSTED, details: "too many enrolments from this address; try again later" };
    return options.isReady() ? undefined : { code: status.UNAVAILABLE, details: "the hub has not loaded its state yet" };
  }

  async function enroll(call: ServerUnaryCall<EnrollRequest__Output, EnrollResponse>): Promise<EnrollResponse | Refusal> {
    const hindered = hindrance(call.getPeer());
    if (hindered) return hindered;
    const question = questionFromWire(call.request);
    if (!question) return { code: status.INVALID_ARGUMENT, details: "the enrolment cannot be read" };
    try {
      return answerToWire(await enrolments.enroll(question));
    } catch (error) {
      const { code } = CodedError.from(error);
      if (code === "ENROLMENT_REFUSED") return { code: status.PERMISSION_DENIED, details: "the enrolment was refused [ENROLMENT_REFUSED]" };
      logger.error({ code, err: error }, "an enrolment failed");
      return { code: status.INTERNAL, details: "the hub failed" };
    }
  }

  server.addService(loadEnrolmentService().service, {
    Enroll: (call: ServerUnaryCall<EnrollRequest__Output, EnrollResponse>, answer: sendUnaryData<EnrollResponse>) =>
      void enroll(call).then((given) => ("code" in given ? answer(given) : answer(null, given))),
  });
  return bindServer(server, new ServerTls(options.server));
}

/** Of IPv6 the network of 64 bits: whoever has one has as many addresses as he wants. */
function networkOf(address: string): string {
  const bare = address.replace(/^\[|\]$/g, "").replace(/^::ffff:(?=\d+\.)/, "");
  if (!isIPv6(bare)) return bare;
  const [head = "", tail] = bare.split("::");
  const groups = head === "" ? [] : head.split(":");
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === "" ? 0 : tail.split(":").length);
  return [...groups, ...Array.from({ length: missing }, () => "0")].slice(0, 4).join(":");
}
