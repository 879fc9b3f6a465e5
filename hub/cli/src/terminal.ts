/** Where a command writes. `process.stdout` fits. */
export interface TextSink {
  write(text: string): unknown;
}

/** The world as a command sees it; tests pass their own. */
export interface Terminal {
  readonly stdout: TextSink;
  readonly stderr: TextSink;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether a person reads standard output. */
  readonly isTTY: boolean;
  /** Width of the terminal in characters; only looked at if `isTTY`. Default 80. */
  readonly columns?: number;
  /** Milliseconds since 1970, for ages. Default the machine's clock. */
  readonly now?: () => number;
  /** Ends a watch. Default: never. */
  readonly signal?: AbortSignal;
}
