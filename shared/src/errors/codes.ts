/** What the code's owner can say about every error: who must act, and how it leaves the process. */
export interface ErrorCodeInfo {
  /** true: the same action may succeed later without anybody changing anything. */
  readonly retryable: boolean;
  /** One sentence: what it means. */
  readonly meaning: string;
  /** What a person can do about it. */
  readonly hint: string;
  /** Exit code of a command that ends with it. 1 = failed, 2 = bad input or usage, 3 = cannot reach, 4 = not allowed, 5 = not found. */
  readonly exitCode: 1 | 2 | 3 | 4 | 5;
  /** HTTP status where the API answers with it; 500 if absent. */
  readonly httpStatus?: number;
}

export function entry(
  meaning: string,
  hint: string,
  options: { retryable?: boolean; exitCode?: ErrorCodeInfo["exitCode"]; httpStatus?: number } = {},
): ErrorCodeInfo {
  return {
    meaning,
    hint,
    retryable: options.retryable ?? false,
    exitCode: options.exitCode ?? 1,
    ...(options.httpStatus && { httpStatus: options.httpStatus }),
  };
}
