import { type DestinationStream, type Logger as PinoLogger, pino } from "pino";
import { CodedError } from "../errors/index.ts";

/** Structured log. `info` and above are written for operators. */
export type Logger = PinoLogger;

/** Options of {@link createLogger}. */
export interface LoggerOptions {
  /** hub or agent. */
  readonly name: string;
  /** Default info. */
  readonly level?: string;
  /** Default standard output. */
  readonly destination?: DestinationStream;
}

/** A JSON logger that writes coded errors with their code and never their stack unless it is a bug. */
export function createLogger(options: LoggerOptions): Logger {
  const settings = {
    name: options.name,
    level: options.level ?? "info",
    base: { name: options.name },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: serializeError },
    // Last line of defence; secrets are not to reach a log call in the first place.
    redact: ["token", "password", "authorization", "*.token", "*.password", "*.authorization", "headers.authorization"],
  };
  return options.destination ? pino(settings, options.destination) : pino(settings);
}

/** A logger that says nothing, for tests and offline commands. */
export function silentLogger(): Logger {
  return pino({ level: "silent" });
}

function serializeError(error: unknown): unknown {
  if (error instanceof CodedError && error.code !== "INTERNAL") {
    return { code: error.code, message: error.message, ...(error.at && { at: error.at }) };
  }
  if (error instanceof Error) return { message: error.message, stack: error.stack };
  return { message: String(error) };
}
