import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { CodedError, formatError } from "@muster/shared/errors";
import { type BackupKey, type BackupLock, createBackup, restoreBackup } from "./backup/hub-backup.ts";
import { loadHubConfig } from "./config.ts";
import { openAccessStore } from "./enrolment/access-store.ts";
import { revokedNatsKeys } from "./enrolment/enrolments.ts";
import { loadIdentity } from "./identity/identity.ts";
import { startHub } from "./start-hub.ts";
import { HUB_VERSION } from "./version.ts";

const USAGE = `muster-hub ${HUB_VERSION}: renders every cluster's desired state from Git and publishes it.

Usage:
  muster-hub [serve]             run the hub
  muster-hub init                make the hub's identity in its data folder, and stop
  muster-hub backup              print the hub's keys, encrypted with age
  muster-hub restore FILE        make an empty data folder the hub that a backup is of
  muster-hub nats-config         print the configuration that nats-server needs to know this hub

Options:
  --recipient AGE1…              for backup: who may open it; may be given again
  --passphrase-file FILE         for backup and restore: a passphrase, in place of a recipient or an identity
  --identity-file FILE           for restore: an age identity (AGE-SECRET-KEY-1…)
  --jwt-dir DIR                  for nats-config: the folder in which nats-server keeps accounts (default ./muster-jwt)
  --config FILE                  the hub's configuration (or MUSTER_HUB_CONFIG; default /etc/muster/hub.yaml)
  --help, --version
`;

async function run(argv: readonly string[]): Promise<void> {
  const { values, positionals } = parse(argv);
  if (values.help) return print(USAGE);
  if (values.version) return print(`${HUB_VERSION}\n`);
  const [command = "serve", ...rest] = positionals;
  const config = loadHubConfig(values.config ?? process.env["MUSTER_HUB_CONFIG"] ?? "/etc/muster/hub.yaml", process.env);
  const identity = () => loadIdentity({ dataDir: config.dataDir, trustDomain: config.trustDomain, serverNames: config.grpc.serverNames });
  switch (command) {
    case "serve": {
      const { lifecycle } = await startHub(config, process.env);
      for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => void lifecycle.stop().then(() => process.exit(0)));
      return;
    }
    case "init":
      await identity();
      return print(`The identity of this hub is in ${config.dataDir}.\n`);
    case "backup":
      return print(await createBackup({ ...config, lock: lockOf(values), nowMs: Date.now() }));
    case "restore": {
      const [file] = rest;
      if (file === undefined) throw new CodedError("CLI_USAGE", "restore needs the file of a backup");
      const { dataDir, trustDomain } = config;
      const { files, madeAt } = await restoreBackup({ text: readText(file), key: keyOf(values), dataDir, trustDomain });
      return print(`${dataDir} is the hub of the backup of ${madeAt} now: ${files} files.\n`);
    }
    case "nats-config":
      return print(
        await (await identity()).natsConfig({
          // What is printed later than the hub has told NATS last must not forget whom it has revoked.
          revocations: revokedNatsKeys(openAccessStore(join(config.dataDir, "agents")), Date.now()),
          ...(values["jwt-dir"] !== undefined && { jwtDir: values["jwt-dir"] }),
        }),
      );
    default:
      throw new CodedError("CLI_USAGE", `There is no command ${command}; see muster-hub --help`);
  }
}

type Values = ReturnType<typeof parse>["values"];

/** Secrets come from files: what stands in an argument, everybody on the machine can read. */
function lockOf({ recipient: recipients = [], "passphrase-file": file }: Values): BackupLock {
  if (file !== undefined) return { passphrase: readText(file).trim() };
  if (recipients.length > 0) return { recipients };
  throw new CodedError("CLI_USAGE", "backup needs --recipient (an age recipient) or --passphrase-file");
}

function keyOf({ "identity-file": identity, "passphrase-file": passphrase }: Values): BackupKey {
  if (passphrase !== undefined) return { passphrase: readText(passphrase).trim() };
  const line = identity === undefined ? undefined : /^AGE-SECRET-KEY-\S+$/m.exec(readText(identity))?.[0];
  if (line === undefined)
    throw new CodedError("CLI_USAGE", "restore needs --identity-file (with an AGE-SECRET-KEY-1…) or --passphrase-file");
  return { identity: line };
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new CodedError("CLI_USAGE", `${path} cannot be read`, { cause, at: { file: path } });
  }
}

function parse(argv: readonly string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        config: text,
        "jwt-dir": text,
        recipient: { ...text, multiple: true },
        "passphrase-file": text,
        "identity-file": text,
        help: { ...flag, short: "h" },
        version: flag,
      },
    });
  } catch (cause) {
    throw new CodedError("CLI_USAGE", (cause as Error).message, { cause });
  }
}

function print(text: string): void {
  process.stdout.write(text);
}

if (import.meta.main) {
  try {
    await run(process.argv.slice(2));
  } catch (error) {
    const coded = CodedError.from(error);
    process.stderr.write(`muster-hub: ${formatError(coded)}\n  ${coded.info.hint}\n`);
    process.exitCode = coded.info.exitCode;
  }
}
