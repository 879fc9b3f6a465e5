/** The one error class and the one table of codes. */

export type { CodedErrorOptions, InputPosition } from "./coded-error.ts";
export { CodedError, formatError, formatPosition } from "./coded-error.ts";
export type { ErrorCodeInfo } from "./codes.ts";
export type { ErrorCode } from "./table.ts";
export { ERROR_CODES, isErrorCode } from "./table.ts";
