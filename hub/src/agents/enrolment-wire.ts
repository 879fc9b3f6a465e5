import type { EnrollRequest__Output, EnrollResponse, Grant } from "@muster/shared/rpc";
import type { AgentGrant, EnrolmentAnswer, EnrolmentQuestion } from "../enrolment/enrolments.ts";

/** Longer ones are no token; what is long is not even hashed. */
const MAX_TOKEN_LENGTH = 128;

/** What was asked, as it came. Undefined: it cannot be read as a question at all. */
export function questionFromWire(request: EnrollRequest__Output): EnrolmentQuestion | undefined {
  const { cluster, token, keys, proof, natsProof } = request;
  if (!keys || token.length > MAX_TOKEN_LENGTH) return undefined;
  return { cluster, token, keys: { tls: keys.tls, nats: keys.nats, encryption: keys.encryption }, proof, natsProof };
}

export function grantToWire({ certificate, natsJwt }: AgentGrant): Grant {
  return { certificate, natsJwt };
}

export function answerToWire(answer: EnrolmentAnswer): EnrollResponse {
  return answer.outcome === "admitted" ? { grant: grantToWire(answer.grant) } : { pending: { reason: answer.reason } };
}
