import { type sendUnaryData, status } from "@grpc/grpc-js";
import { CodedError } from "@muster/shared/errors";
import type { Grant } from "@muster/shared/rpc";
import type { Logger } from "@muster/shared/telemetry";
import type { AgentGrant, EnrolmentQuestion } from "../enrolment/enrolments.ts";
import type { RenewCall } from "./agent-server.ts";
import { grantToWire, questionFromWire } from "./enrolment-wire.ts";

/** Gives an agent new credentials that it has asked for over its own connection. */
export function answerRenewal(
  renew: (question: EnrolmentQuestion) => Promise<AgentGrant>,
  call: RenewCall,
  answer: sendUnaryData<Grant>,
  logger: Logger,
): void {
  const question = questionFromWire(call.request);
  if (!question) {
    answer({ code: status.INVALID_ARGUMENT, details: "the renewal cannot be read" });
    return;
  }
  renew(question).then(
    (grant) => answer(null, grantToWire(grant)),
    (error: unknown) => {
      const { code } = CodedError.from(error);
      const isRefusal = code === "ENROLMENT_REFUSED";
      if (!isRefusal) logger.error({ code, err: error }, "a renewal failed");
      answer(
        isRefusal
          ? { code: status.PERMISSION_DENIED, details: "the renewal was refused [ENROLMENT_REFUSED]" }
          : { code: status.INTERNAL, details: "the hub failed" },
      );
    },
  );
}
