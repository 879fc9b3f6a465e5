import type { CodedError } from "@muster/shared/errors";
import { describeObjectRef } from "@muster/shared/model";
import type { ResourceType } from "../../cluster.ts";
import { errorFromAnswer } from "../../map-error.ts";
import type { FieldConflict } from "./managers.ts";

/** What a request is about. */
export interface Subject {
  readonly verb: string;
  readonly type: ResourceType;
  readonly namespace: string;
  readonly name: string;
}

/** Refusals in an API server's own words, read by the same code that reads a real one's. */
function refuse(subject: Subject, status: number, answer: { reason?: string; message: string; details?: object }): CodedError {
  const { verb, type, namespace, name } = subject;
  const what = name === "" ? type.plural : describeObjectRef({ group: type.group, kind: type.kind, namespace, name });
  return errorFromAnswer(status, JSON.stringify({ kind: "Status", code: status, ...answer }), {
    verb,
    what,
    secret: type.kind === "Secret",
  });
}

export const Answers = {
  unserved: ({ verb, type }: Subject) => errorFromAnswer(404, "404 page not found", { verb, what: type.plural }),
  unavailable: ({ verb, type }: Subject) => errorFromAnswer(503, "service unavailable\n", { verb, what: type.plural }),
  notFound: (subject: Subject) =>
    refuse(subject, 404, {
      reason: "NotFound",
      message: `${subject.type.plural} "${subject.name}" not found`,
      details: { kind: subject.type.plural, name: subject.name },
    }),
  namespaceMissing: (subject: Subject) =>
    refuse(subject, 404, {
      reason: "NotFound",
      message: `namespaces "${subject.namespace}" not found`,
      details: { kind: "namespaces", name: subject.namespace },
    }),
  namespaceTerminating: (subject: Subject) =>
    refuse(subject, 403, {
      reason: "Forbidden",
      message: `${subject.type.plural} "${subject.name}" is forbidden: unable to create new content in namespace ${subject.namespace} because it is being terminated`,
      details: { causes: [{ reason: "NamespaceTerminating", message: `namespace ${subject.namespace} is being terminated` }] },
    }),
  exists: (subject: Subject) =>
    refuse(subject, 409, { reason: "AlreadyExists", message: `${subject.type.plural} "${subject.name}" already exists` }),
  modified: (subject: Subject) =>
    refuse(subject, 409, {
      reason: "Conflict",
      message: `Operation cannot be fulfilled on ${subject.type.plural} "${subject.name}": the object has been modified`,
    }),
  otherUid: (subject: Subject, asked: string, is: string) =>
    refuse(subject, 409, {
      reason: "Conflict",
      message: `Operation cannot be fulfilled on ${subject.type.plural} "${subject.name}": Precondition failed: UID in precondition: ${asked}, UID in object meta: ${is}`,
    }),
  ownedByOthers: (subject: Subject, conflicts: readonly FieldConflict[]) =>
    refuse(subject, 409, {
      reason: "Conflict",
      message: `Apply failed with ${conflicts.length} conflicts: ${conflicts.map(({ manager, paths }) => `conflict with "${manager}": ${paths.join(", ")}`).join("; ")}`,
      details: {
        causes: conflicts.flatMap(({ paths }) => paths.map((field) => ({ reason: "FieldManagerConflict", message: "conflict", field }))),
      },
    }),
  immutable: (subject: Subject, field: string) =>
    refuse(subject, 422, {
      reason: "Invalid",
      message: `${subject.type.kind} "${subject.name}" is invalid: ${field}: Invalid value: field is immutable`,
      details: { causes: [{ reason: "FieldValueInvalid", message: "Invalid value: field is immutable", field }] },
    }),
  frozen: (subject: Subject) =>
    refuse(subject, 422, {
      reason: "Invalid",
      message: `${subject.type.kind} "${subject.name}" is invalid: data: Forbidden: field is immutable when \`immutable\` is set`,
      details: {
        causes: [{ reason: "FieldValueForbidden", message: "Forbidden: field is immutable when `immutable` is set", field: "data" }],
      },
    }),
  noNewFinalizers: (subject: Subject) =>
    refuse(subject, 422, {
      reason: "Invalid",
      message: `${subject.type.kind} "${subject.name}" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted`,
      details: {
        causes: [
          {
            reason: "FieldValueForbidden",
            message: "Forbidden: no new finalizers can be added if the object is being deleted",
            field: "metadata.finalizers",
          },
        ],
      },
    }),
  unknownField: (subject: Subject, field: string) =>
    refuse(subject, 500, { message: `failed to create typed patch object: .${field}: field not declared in schema` }),
  notBase64: (subject: Subject) => refuse(subject, 400, { reason: "BadRequest", message: "illegal base64 data at input byte 0" }),
  compacted: (subject: Subject, version: number) =>
    refuse(subject, 410, { reason: "Expired", message: `too old resource version: ${version}` }),
} as const;
