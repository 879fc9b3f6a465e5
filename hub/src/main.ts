import { parseArgs } from "node:util";
import { CodedError, formatError } from "@muster/shared/errors";
import { loadHubConfig } from "./config.ts";
import { loadIdentity } from "./identity/identity.ts";
import { startHub } from "./start-hub.ts";
import { HUB_VERSION } from "./version.ts";

const USAGE = `muster-hub ${HUB_VERSION}: renders every cluster's desired state from Git and publishes it.

Usage:
  muster-hub [serve]             run the hub
  muster-hub init                make the hub's identity in its data folder, and stop
  muster-hub nats-config         print the configuration that nats-server needs to know this hub

Options:
  --jwt-dir DIR                  for nats-config: the folder in which nats-server keeps accounts (default ./muster-jwt)
  --config FILE                  the hub's configuration (or MUSTER_HUB_CONFIG; default /etc/muster/hub.yaml)
  --help, --version
`;

async function run(argv: readonly string[]): Promise<void> {
  const { values, positionals } = parse(argv);
  if (values.help) return print(USAGE);
  if (values.version) return print(`${HUB_VERSION}\n`);
  const [command = "serve"] = positionals;
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
    case "nats-config":
      return print(await (await identity()).natsConfig(values["jwt-dir"] === undefined ? {} : { jwtDir: values["jwt-dir"] }));
    default:
      throw new CodedError("CLI_USAGE", `There is no command ${command}; see muster-hub --help`);
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
