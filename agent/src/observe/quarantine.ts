import { CodedError } from "@muster/shared/errors";
import { describeObjectRef, type ObjectRefText, parseObjectRef } from "@muster/shared/model";

/**
 * What our own code threw at one object: the object is set aside, and everything else goes on (E121). Errors that are coded already
 * stay what they are. Of a Secret only the error's name is told, as messages of parsers quote what they could not read.
 */
export function quarantined(text: ObjectRefText, error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  const ref = parseObjectRef(text);
  const why = !(error instanceof Error) ? "" : ref.kind === "Secret" ? error.name : `${error.name}: ${error.message.slice(0, 500)}`;
  return new CodedError("OBJECT_QUARANTINED", `${describeObjectRef(ref)}: the agent's own code fails on it (${why})`, { cause: error });
}
