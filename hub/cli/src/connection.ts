import { readFileSync } from "node:fs";
import { CodedError } from "@muster/shared/errors";
import { type ContextEntry, configPath, readConfig } from "./config-file.ts";

/** How to reach a hub. */
export interface Connection {
  /** Without a slash at its end. */
  readonly url: string;
  readonly token?: string;
  readonly tokenFile?: string;
  /** PEM. Default: the public CAs that Node carries, and those of NODE_EXTRA_CA_CERTS. */
  readonly ca?: string;
}

/** What was said on the command line. */
export interface ConnectionOptions {
  readonly context?: string;
  readonly url?: string;
  readonly tokenFile?: string;
  readonly caFile?: string;
}

const HINT = "Run `muster context set NAME --url URL --token-file FILE`, or set MUSTER_URL and MUSTER_TOKEN_FILE.";

/**
 * Which hub, and as whom: flags, then MUSTER_URL, MUSTER_TOKEN_FILE and MUSTER_CA_FILE, then the context. A URL that does
 * not come from a context is never sent that context's token. Throws CLI_CONTEXT or CLI_USAGE.
 */
export async function resolveConnection(
  options: ConnectionOptions,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Connection> {
  const envUrl = options.context === undefined ? env["MUSTER_URL"] || undefined : undefined;
  const direct = options.url ?? envUrl;
  const entry: Partial<ContextEntry> = direct === undefined ? await contextEntry(options.context, env) : {};
  const fromEnv = options.context === undefined;
  const tokenFile = options.tokenFile ?? ((fromEnv && env["MUSTER_TOKEN_FILE"]) || entry.tokenFile);
  const caFile = options.caFile ?? ((fromEnv && env["MUSTER_CA_FILE"]) || entry.caFile);
  return {
    url: checkUrl(direct ?? entry.url ?? ""),
    ...(tokenFile !== undefined && { tokenFile, token: readToken(tokenFile) }),
    ...(caFile !== undefined && { ca: readCa(caFile) }),
  };
}

/** Loopback, as `kubectl port-forward` gives it. */
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/** true if whoever is on the way can read the token. */
export function isTokenInClear({ url, token }: Connection): boolean {
  const { protocol, hostname } = new URL(url);
  return token !== undefined && protocol === "http:" && !LOOPBACK.test(hostname);
}

async function contextEntry(wanted: string | undefined, env: Readonly<Record<string, string | undefined>>): Promise<ContextEntry> {
  const path = configPath(env);
  const { current, contexts } = await readConfig(path);
  const name = wanted ?? current;
  const known = Object.keys(contexts).sort();
  if (name === undefined) {
    if (known.length === 0)
      throw new CodedError("CLI_CONTEXT", "No hub is configured", {
        data: { detail: `There is no context in ${path}, and MUSTER_URL is not set`, hint: HINT },
      });
    throw new CodedError("CLI_CONTEXT", "No context is in use", {
      data: { detail: `There are: ${known.join(", ")}`, hint: "Choose one with `muster context use NAME`." },
    });
  }
  const entry = Object.hasOwn(contexts, name) ? contexts[name] : undefined;
  if (!entry)
    throw new CodedError("CLI_CONTEXT", `There is no context ${name}`, {
      data: { detail: known.length === 0 ? `${path} has none` : `There are: ${known.join(", ")}`, hint: HINT },
    });
  return entry;
}

/** The URL of a hub in its one form. Throws CLI_USAGE. */
export function checkUrl(text: string): string {
  const bad = (detail: string) =>
    new CodedError("CLI_USAGE", `${JSON.stringify(text)} is no URL of a hub`, {
      data: { detail, hint: "Write it as https://hub.example." },
    });
  if (!URL.canParse(text)) throw bad("It cannot be read as a URL");
  const url = new URL(text);
  if (url.protocol !== "http:" && url.protocol !== "https:") throw bad("It starts neither with https:// nor with http://");
  if (url.username !== "" || url.password !== "")
    throw new CodedError("CLI_USAGE", "A URL of a hub has no user or password in it", {
      data: { hint: "Put the token into a file and name it with --token-file." },
    });
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}

function readToken(path: string): string {
  const token = readText(path, "token file").trim();
  if (token === "") throw new CodedError("CLI_CONTEXT", `The token file ${path} is empty`);
  // Anything else cannot stand in a header, and the error of `fetch` would quote it.
  if (!/^[\u0021-\u007e]+$/.test(token)) throw new CodedError("CLI_CONTEXT", `The token file ${path} holds more than one token`);
  return token;
}

function readCa(path: string): string {
  const pem = readText(path, "CA file");
  if (pem.includes("-----BEGIN CERTIFICATE-----")) return pem;
  throw new CodedError("CLI_CONTEXT", `The CA file ${path} holds no certificate`, {
    data: { hint: "It is a PEM file with `-----BEGIN CERTIFICATE-----`: the CA that has signed the hub's certificate." },
  });
}

function readText(path: string, what: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new CodedError("CLI_CONTEXT", `The ${what} ${path} cannot be read`, {
      cause: error,
      data: { detail: (error as NodeJS.ErrnoException).code === "ENOENT" ? "There is no such file" : (error as Error).message },
    });
  }
}
