import { credentials, type ServiceError, status } from "@grpc/grpc-js";
import { CodedError } from "@muster/shared/errors";
import { type EnrollRequest, type Grant__Output, loadAgentService, loadEnrolmentService } from "@muster/shared/rpc";

/** What the hub has said to an agent that asked for credentials. */
export type EnrolmentAnswer =
  | { readonly outcome: "admitted"; readonly grant: Grant__Output }
  | { readonly outcome: "pending"; readonly reason: string };

/** Where to ask, and whose certificate must answer. */
export interface EnrolmentAddress {
  /** host:port. */
  readonly address: string;
  /** PEM; nothing else is trusted. */
  readonly ca: string;
  readonly serverName?: string;
}

/** Milliseconds that the hub has for one answer. */
const TIMEOUT_MS = 20_000;

const channelOptions = ({ serverName }: EnrolmentAddress) => ({
  "grpc.max_receive_message_length": 64 * 1024,
  "grpc.enable_retries": 0,
  ...(serverName && { "grpc.ssl_target_name_override": serverName, "grpc.default_authority": serverName }),
});

/** Asks without a certificate. Throws ENROLMENT_REFUSED or HUB_UNREACHABLE. */
export function enroll(where: EnrolmentAddress, request: EnrollRequest): Promise<EnrolmentAnswer> {
  const Service = loadEnrolmentService();
  const client = new Service(where.address, credentials.createSsl(Buffer.from(where.ca)), channelOptions(where));
  return new Promise<EnrolmentAnswer>((resolve, reject) => {
    client.Enroll(request, { deadline: Date.now() + TIMEOUT_MS }, (error, answer) => {
      if (error) reject(toCoded(error, where));
      else if (answer?.grant) resolve({ outcome: "admitted", grant: answer.grant });
      else if (answer?.pending) resolve({ outcome: "pending", reason: answer.pending.reason });
      else reject(new CodedError("HUB_UNREACHABLE", `The hub at ${where.address} answers an enrolment with nothing`));
    });
  }).finally(() => client.close());
}

/** Asks with the certificate that is still good. Throws ENROLMENT_REFUSED or HUB_UNREACHABLE. */
export function renew(
  where: EnrolmentAddress & { readonly cert: string; readonly key: string },
  request: EnrollRequest,
): Promise<Grant__Output> {
  const Service = loadAgentService();
  const tls = credentials.createSsl(Buffer.from(where.ca), Buffer.from(where.key), Buffer.from(where.cert));
  const client = new Service(where.address, tls, channelOptions(where));
  return new Promise<Grant__Output>((resolve, reject) => {
    client.Renew(request, { deadline: Date.now() + TIMEOUT_MS }, (error, grant) => {
      if (error) reject(toCoded(error, where));
      else if (grant) resolve(grant);
      else reject(new CodedError("HUB_UNREACHABLE", `The hub at ${where.address} answers a renewal with nothing`));
    });
  }).finally(() => client.close());
}

function toCoded(error: ServiceError, { address }: EnrolmentAddress): CodedError {
  const isRefusal = error.code === status.PERMISSION_DENIED || error.code === status.UNAUTHENTICATED;
  return new CodedError(
    isRefusal ? "ENROLMENT_REFUSED" : "HUB_UNREACHABLE",
    isRefusal ? `The hub at ${address} refused it: ${error.details}` : `The hub at ${address} did not answer: ${error.details}`,
    { cause: error },
  );
}
