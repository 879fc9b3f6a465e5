import { readFileSync } from "node:fs";
import { CodedError } from "@muster/shared/errors";
import type { Clock } from "@muster/shared/runtime";
import { LogField, type Logger } from "@muster/shared/telemetry";

/** Milliseconds for which the file is not read again: every request asks for its secret, and reading blocks. */
const REREAD_MS = 1_000;

/** Options of {@link createSecretFile}. */
export interface SecretFileOptions {
  /** Name of the setting that gives the path, for messages. */
  readonly setting: string;
  readonly path: string;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly logger: Logger;
}

/**
 * A secret in a file that may be replaced while the hub runs, as a mounted Secret is. Throws CONFIG_INVALID if there is none at
 * the start. After that nothing is thrown: while the file is missing, unreadable or empty, the secret that it had last stays in
 * force, because a volume that is away for a moment must neither lock operators out nor stop the hub, nor ever leave an empty one.
 */
export function createSecretFile({ setting, path, clock, logger }: SecretFileOptions): () => string {
  let secret: string;
  try {
    secret = readSecret(path);
  } catch (cause) {
    throw new CodedError("CONFIG_INVALID", `${setting}: ${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
  let readAtMs = clock.monotonicMs();
  let isReadable = true;
  return () => {
    const nowMs = clock.monotonicMs();
    if (nowMs - readAtMs < REREAD_MS) return secret;
    readAtMs = nowMs;
    try {
      secret = readSecret(path);
      if (!isReadable) logger.info(`${setting}: ${path} can be read again`);
      isReadable = true;
    } catch (error) {
      const why = (error as Error).message;
      if (isReadable) logger.warn({ [LogField.Code]: "CONFIG_INVALID" }, `${setting}: what ${path} said before stays in force: ${why}`);
      isReadable = false;
    }
    return secret;
  };
}

function readSecret(path: string): string {
  const text = readFileSync(path, "utf8").trim();
  if (text === "") throw new Error("it is empty");
  return text;
}
