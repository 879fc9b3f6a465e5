import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { CodedError } from "@muster/shared/errors";

/** One hub that the command can talk to. */
export interface ContextEntry {
  readonly url: string;
  /** File that holds the bearer token; the token itself is never written here. */
  readonly tokenFile?: string;
  /** PEM file of the CA that signed the hub's certificate. */
  readonly caFile?: string;
}

/** What the configuration file holds. */
export interface CliConfig {
  /** Name of the context that is used without `--context`. */
  readonly current?: string;
  readonly contexts: Readonly<Record<string, ContextEntry>>;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** MUSTER_CONFIG, else `muster/config.yaml` below XDG_CONFIG_HOME (default `~/.config`). */
export function configPath(env: Environment): string {
  if (env["MUSTER_CONFIG"]) return env["MUSTER_CONFIG"];
  return join(env["XDG_CONFIG_HOME"] || join(env["HOME"] || homedir(), ".config"), "muster", "config.yaml");
}

/** Reads the file; empty if there is none. Throws CLI_CONTEXT if it cannot be read or is no configuration. */
export async function readConfig(path: string): Promise<CliConfig> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return { contexts: {} };
    throw new CodedError("CLI_CONTEXT", `${path} cannot be read`, { cause: error, data: { detail: (error as Error).message } });
  }
  const { parse } = await import("yaml");
  let value: unknown;
  try {
    value = parse(text) ?? {};
  } catch (error) {
    throw new CodedError("CLI_CONTEXT", `${path} is no YAML`, {
      cause: error,
      data: { detail: (error as Error).message.split("\n")[0] ?? "" },
    });
  }
  return toConfig(value, path);
}

/** Checked by hand: a schema library would take longer to load than everything else. */
function toConfig(value: unknown, path: string): CliConfig {
  const bad = (detail: string) => new CodedError("CLI_CONTEXT", `${path} is not a configuration of muster`, { data: { detail } });
  if (!isMap(value)) throw bad("It is not a map");
  const { current, contexts = {} } = value;
  if (current !== undefined && typeof current !== "string") throw bad("`current` is not a name");
  if (!isMap(contexts)) throw bad("`contexts` is not a map");
  const entries = Object.entries(contexts).map(([name, entry]): [string, ContextEntry] => {
    if (!isMap(entry) || typeof entry["url"] !== "string") throw bad(`The context ${name} has no \`url\``);
    const { url, tokenFile, caFile } = entry;
    for (const file of [tokenFile, caFile])
      if (file !== undefined && typeof file !== "string") throw bad(`The context ${name} has a file that is not a path`);
    return [
      name,
      { url, ...(tokenFile !== undefined && { tokenFile: String(tokenFile) }), ...(caFile !== undefined && { caFile: String(caFile) }) },
    ];
  });
  return { ...(current !== undefined && { current }), contexts: Object.fromEntries(entries) };
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Writes the file as a whole, readable by its owner only. Throws CLI_CONTEXT. */
export async function writeConfig(path: string, config: CliConfig): Promise<void> {
  const { stringify } = await import("yaml");
  const partial = `${path}.${process.pid}.partial`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(partial, stringify(config), { mode: 0o600 });
    chmodSync(partial, 0o600);
    renameSync(partial, path);
  } catch (error) {
    throw new CodedError("CLI_CONTEXT", `${path} cannot be written`, { cause: error, data: { detail: (error as Error).message } });
  }
}
