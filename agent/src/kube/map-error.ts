import type { ErrorCode } from "@muster/shared/errors";
import { CodedError } from "@muster/shared/errors";
import type { Random } from "@muster/shared/runtime";

/** The parts of a Kubernetes `Status` that errors are told by. */
interface KubeStatus {
  readonly message?: string;
  readonly reason?: string;
  readonly details?: {
    readonly kind?: string;
    readonly name?: string;
    readonly retryAfterSeconds?: number;
    readonly causes?: readonly { readonly reason?: string; readonly message?: string; readonly field?: string }[];
  };
}

/** What was asked, for the message. */
export interface RequestSubject {
  /** get, list, apply, delete, … */
  readonly verb: string;
  /** `Deployment podinfo/web`, or a path. */
  readonly what: string;
  /** true: the server's own message may quote values, and is not passed on. */
  readonly secret?: boolean;
}

/** Turns an answer of 400 and above into a CodedError. The only place that interprets answers of an API server. */
export function errorFromAnswer(status: number, body: string, subject: RequestSubject, retryAfter?: string): CodedError {
  const answer = parseStatus(body);
  const code = isKindDown(status, body, subject) ? "KIND_UNAVAILABLE" : codeOf(status, answer);
  const causes = answer.details?.causes ?? [];
  const fields = fieldsOf(causes);
  const duplicates = fieldsOf(causes.filter((cause) => cause.reason === "FieldValueDuplicate"));
  const told = tellOf(code, fields, answer.message ?? body.slice(0, 300).trim(), { ...subject, ...answer });
  const retryAfterMs = 1_000 * (Number(retryAfter) || answer.details?.retryAfterSeconds || 0);
  return new CodedError(code, `${subject.verb} ${subject.what}: ${told || `HTTP ${status}`}`, {
    data: {
      status,
      ...(retryAfterMs > 0 && { retryAfterMs }),
      ...(answer.reason && { reason: answer.reason }),
      ...(fields.length > 0 && { fields }),
      ...(duplicates.length > 0 && { duplicates }),
    },
  });
}

/** What the answer says, without what must not be passed on. */
function tellOf(code: ErrorCode, fields: readonly string[], said: string, about: Pick<RequestSubject, "secret"> & KubeStatus): string {
  const { secret, reason } = about;
  // For a Job the message would be its whole pod template.
  if (code === "KUBE_IMMUTABLE" && fields.length > 0) return `${fields.join(", ")} cannot be changed once it is set`;
  // An API server quotes the refused value in its message: for a Secret that would be the secret itself.
  if (secret && code !== "KUBE_FORBIDDEN") {
    return `${reason ?? "refused"}${fields.length ? ` at ${fields.join(", ")}` : ""}${refuserIn(said)}`;
  }
  return said.length > MAX_MESSAGE ? `${said.slice(0, MAX_MESSAGE)}…` : said;
}

/** Who refuses is no secret, whatever else the message quotes: ` by webhook "guard.example.com"`. */
function refuserIn(message: string): string {
  const [refuser] = /ValidatingAdmissionPolicy '[\w.:-]+'|webhook "[\w.-]+"/.exec(message) ?? [];
  return refuser ? ` by ${refuser}` : "";
}

/** The fields that causes name, each once. */
function fieldsOf(causes: readonly { readonly field?: string }[]): string[] {
  return [...new Set(causes.flatMap((cause) => (cause.field ? [cause.field] : [])))];
}

/** Characters of a server's message that are kept: some quote the whole of what they refuse (E118). */
const MAX_MESSAGE = 2_048;

/**
 * One kind's server is down, not the API server. The aggregator says so in plain text (kube-aggregator, handler_proxy.go: `service
 * unavailable`, `error trying to reach service`), and a conversion webhook's failure in a Status of 500 (apiextensions-apiserver).
 */
function isKindDown(status: number, body: string, { verb }: RequestSubject): boolean {
  if (verb === "discover") return false;
  if (status === 503) return /^(service unavailable\s*$|error trying to reach service)/.test(body);
  return status === 500 && /conversion webhook for .+ failed/.test(body);
}

/**
 * Milliseconds that the API server has asked to wait (429 and 503 with Retry-After), and up to a quarter more, so that not all who
 * were told the same come back at once; 0 if it has asked for nothing.
 */
export function askedDelayMs(error: unknown, random: Random): number {
  for (let cause = error; cause instanceof CodedError; cause = cause.cause) {
    const asked = cause.data["retryAfterMs"];
    if (typeof asked === "number") return asked * (1 + 0.25 * random());
  }
  return 0;
}

/** Statuses that say all by themselves. */
const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  401: "KUBE_UNAUTHORIZED",
  409: "KUBE_CONFLICT",
  410: "KUBE_CONFLICT",
  413: "KUBE_TOO_LARGE",
  429: "KUBE_THROTTLED",
};

/** Statuses that mean several things, which only the body tells apart. */
const BY_BODY: Readonly<Record<number, (answer: KubeStatus, message: string) => ErrorCode>> = {
  400: codeOfInvalid,
  403: codeOfForbidden,
  404: codeOfNotFound,
  422: codeOfInvalid,
  500: codeOfInternal,
};

function codeOf(status: number, answer: KubeStatus): ErrorCode {
  return BY_STATUS[status] ?? BY_BODY[status]?.(answer, answer.message ?? "") ?? (status >= 500 ? "KUBE_SERVER" : "KUBE_INVALID");
}

function codeOfForbidden({ details }: KubeStatus, message: string): ErrorCode {
  if (details?.causes?.some((cause) => cause.reason === "NamespaceTerminating")) return "NAMESPACE_TERMINATING";
  // The quota plugin answers Forbidden like RBAC does and gives no cause (k8s.io/apiserver plugin/pkg/admission/resourcequota).
  if (/exceeded quota|status unknown for quota/.test(message)) return "KUBE_QUOTA";
  // RBAC's message is made by `responsewriters.Forbidden`: “User "x" cannot get resource …”.
  return / cannot \S+ (?:resource|path)| is attempting to grant RBAC permissions/.test(message) ? "KUBE_FORBIDDEN" : "KUBE_DENIED";
}

function codeOfNotFound({ reason, details }: KubeStatus): ErrorCode {
  // A path that is not served, and a proxy that has lost its way, also answer 404: that says nothing of the object.
  if (reason !== "NotFound") return "KUBE_SERVER";
  // Creating into a missing namespace names the namespace, not the object.
  return details?.kind === "namespaces" ? "NAMESPACE_MISSING" : "KUBE_NOT_FOUND";
}

function codeOfInvalid({ reason, details }: KubeStatus, message: string): ErrorCode {
  const causes = details?.causes ?? [];
  // An apply for one object, and another has its name now: what a 409 says where none has.
  if (causes.some(({ field }) => field === "metadata.uid")) return "KUBE_CONFLICT";
  if (reason === "Invalid" && causes.length > 0 && causes.every(isImmutableCause)) return "KUBE_IMMUTABLE";
  // ValidatingAdmissionPolicy answers 422 by default and names itself.
  return /ValidatingAdmissionPolicy|admission webhook/.test(message) ? "KUBE_DENIED" : "KUBE_INVALID";
}

function codeOfInternal(_: KubeStatus, message: string): ErrorCode {
  // A webhook that must be asked and does not answer refuses everything (apiserver's webhook dispatcher, failurePolicy Fail).
  if (/failed calling webhook "/.test(message)) return "KUBE_DENIED";
  // A field that the schema does not have, or a value of the wrong type, is answered to an apply with 500
  // (structured-merge-diff's typed errors; kubernetes/kubernetes#97945). Trying again would never help.
  return /failed to create typed patch object|illegal base64 data|cannot unmarshal/.test(message) ? "KUBE_INVALID" : "KUBE_SERVER";
}

/** How API servers say that a field cannot be changed, as seen on 1.36: most kinds, Services, StatefulSets, Pods, bindings, PriorityClasses, CEL. */
const IMMUTABLE =
  /\bimmutable\b|may not change once set|^updates to .* are forbidden|updates may not change fields|cannot change roleRef|may not be changed in an update|^self(?:\.\w+)* == oldSelf(?:\.\w+)*$/i;

/** Reads only what stands behind the last colon of the first line: before it the refused value is quoted, which may say anything (E047). */
function isImmutableCause({ reason, message = "" }: { readonly reason?: string; readonly message?: string }): boolean {
  // The other reasons have nothing but the value.
  if (reason !== undefined && reason !== "FieldValueInvalid" && reason !== "FieldValueForbidden") return false;
  const firstLine = message.split("\n", 1)[0] ?? "";
  const detail = firstLine.slice(firstLine.lastIndexOf(": ") + 1).trim();
  return !/["}\]]$/.test(detail) && IMMUTABLE.test(detail);
}

function parseStatus(body: string): KubeStatus {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null ? (value as KubeStatus) : {};
  } catch {
    return {};
  }
}

/**
 * True if the path itself is not served: discovery is older than a change of the kind's definition, or something in between has
 * lost its way. Says nothing of any object.
 */
export function isUnserved(error: unknown): boolean {
  return error instanceof CodedError && error.code === "KUBE_SERVER" && error.data["status"] === 404;
}

/** A request that got no answer: refused, cut, or late. Its outcome is unknown. */
export function errorFromTransport(error: unknown, subject: RequestSubject): CodedError {
  const cause = error instanceof Error ? error : new Error(String(error));
  const code = (cause as NodeJS.ErrnoException).code ?? cause.name;
  return new CodedError("KUBE_UNREACHABLE", `${subject.verb} ${subject.what}: no answer from the API server (${code})`, { cause });
}
