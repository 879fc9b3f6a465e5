import { type ApiClient, createApiClient } from "./api-client.ts";
import { type ConnectionOptions, isTokenInClear, resolveConnection } from "./connection.ts";
import { type ColorChoice, createPaint, type Paint } from "./output/style.ts";
import type { Terminal } from "./terminal.ts";

/** Options that every command takes. */
export interface GlobalOptions extends ConnectionOptions {
  readonly color?: ColorChoice;
}

/** What a command has at hand. */
export interface Cli {
  readonly terminal: Terminal;
  readonly paint: Paint;
  /** Columns to fit into; undefined: nothing is cut, because a program or a file reads. */
  readonly width: number | undefined;
  /** Milliseconds since 1970. */
  now(): number;
  /** Prints lines to standard output. */
  print(lines: readonly string[] | string): void;
  /** Prints a remark to standard error. */
  remark(text: string): void;
  /** The hub that is meant. Throws CLI_CONTEXT. */
  api(): Promise<ApiClient>;
  /** Global options as they were given. */
  readonly options: GlobalOptions;
  /** Exit code if nothing is thrown. */
  exitCode: number;
}

const DEFAULT_COLUMNS = 80;

/** `options` is asked late: commander knows them once it has read the command line. */
export function createCli(terminal: Terminal, options: () => GlobalOptions): Cli {
  let api: Promise<ApiClient> | undefined;
  const cli: Cli = {
    terminal,
    paint: (tone, text) => createPaint(options().color ?? "auto", terminal.isTTY, terminal.env)(tone, text),
    width: terminal.isTTY ? (terminal.columns ?? DEFAULT_COLUMNS) : undefined,
    now: () => (terminal.now ?? Date.now)(),
    print(lines) {
      const text = typeof lines === "string" ? lines : lines.join("\n");
      terminal.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
    },
    remark(text) {
      terminal.stderr.write(`${text}\n`);
    },
    api: () =>
      (api ??= resolveConnection(options(), terminal.env).then((connection) => {
        if (isTokenInClear(connection)) cli.remark(`warning: the token goes to ${connection.url} in clear text; use https`);
        return createApiClient(connection, terminal.signal);
      })),
    get options() {
      return options();
    },
    exitCode: 0,
  };
  return cli;
}
