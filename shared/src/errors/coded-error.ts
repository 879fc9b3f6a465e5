import type { ErrorCodeInfo } from "./codes.ts";
import { ERROR_CODES, type ErrorCode } from "./table.ts";

/** Where in a person's input an error stands. */
export interface InputPosition {
  /** Path inside the repository or bundle. */
  readonly file: string;
  /** From 1. */
  readonly line?: number;
  /** From 1. */
  readonly column?: number;
  /** Name of the source. */
  readonly source?: string;
}

/** Options of {@link CodedError}. */
export interface CodedErrorOptions {
  readonly cause?: unknown;
  readonly at?: InputPosition;
  /** Facts for machines; never secrets. */
  readonly data?: Readonly<Record<string, string | number | boolean | readonly string[]>>;
}

/** Every error that a person can see. The code is API; the text is not. */
export class CodedError extends Error {
  override readonly name = "CodedError";
  readonly code: ErrorCode;
  readonly at: InputPosition | undefined;
  readonly data: NonNullable<CodedErrorOptions["data"]>;

  constructor(code: ErrorCode, message: string, options: CodedErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.at = options.at;
    this.data = options.data ?? {};
  }

  /** Meaning, hint, exit code. */
  get info(): ErrorCodeInfo {
    return ERROR_CODES[this.code];
  }

  get retryable(): boolean {
    return this.info.retryable;
  }

  /** Turns anything thrown into a CodedError; what is one already stays the same. */
  static from(thrown: unknown, fallback: ErrorCode = "INTERNAL"): CodedError {
    if (thrown instanceof CodedError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new CodedError(fallback, message, { cause: thrown });
  }
}

/** `file:line:column`, as editors and terminals link it. */
export function formatPosition(at: InputPosition): string {
  return [at.file, at.line, at.line === undefined ? undefined : at.column].filter((part) => part !== undefined).join(":");
}

/** One line for people: `apps/web/bundle.yaml:3: unknown field "foo" [FLEET_UNKNOWN_FIELD]`. */
export function formatError(error: CodedError): string {
  const where = error.at ? `${formatPosition(error.at)}: ` : "";
  return `${where}${error.message} [${error.code}]`;
}
