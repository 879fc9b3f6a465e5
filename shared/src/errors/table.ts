import type { ErrorCodeInfo } from "./codes.ts";
import { INPUT_CODES } from "./codes-input.ts";
import { RUNTIME_CODES } from "./codes-runtime.ts";

/** The one table of error codes. `shared/docs/errors.md` is generated from it. */
export const ERROR_CODES = { ...INPUT_CODES, ...RUNTIME_CODES } as const satisfies Record<string, ErrorCodeInfo>;

/** A stable code; once released, its meaning does not change. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** True if the text is one of our codes. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_CODES, text);
}
