import { CodedError } from "@muster/shared/errors";

/** Kinds that can refuse writes. The API server lets no policy and no webhook refuse changes of these themselves. */
export const ADMISSION_GROUP = "admissionregistration.k8s.io";

/** true: a policy or a webhook has refused a write, maybe of many that were to be made. */
export function isDenial(error: unknown): boolean {
  for (let cause = error; cause instanceof CodedError; cause = cause.cause) if (cause.code === "KUBE_DENIED") return true;
  return false;
}
