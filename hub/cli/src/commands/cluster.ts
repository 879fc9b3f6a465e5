import { CodedError } from "@muster/shared/errors";
import { type Command, Option } from "commander";
import { stringify } from "yaml";
import type { Agent, Join } from "../api-views.ts";
import type { Cli } from "../cli.ts";
import { suggesting } from "../suggest-name.ts";
import { CLI_VERSION } from "../version.ts";

/** Where the agent's chart is published. */
const CHART = "oci://ghcr.io/muster-gitops/charts/muster-agent";
const NAMESPACE = "muster-agent";
/** Name and key of the Secret of `--from-secret`. */
const TOKEN_SECRET = "muster-enrolment";
const TOKEN_KEY = "token";

interface JoinOptions {
  readonly ttl?: number;
  readonly chart: string;
  readonly namespace: string;
  readonly kubeContext?: string;
  readonly fromSecret?: boolean;
  readonly output: "command" | "values" | "json";
}

/** `muster cluster join|approve|rotate|revoke`. */
export function addClusterCommand(program: Command, cli: Cli): void {
  const cluster = program
    .command("cluster")
    .summary("let clusters join, and say who acts for them")
    .description("Let clusters join the fleet, and say who acts for them. A cluster is declared in Git first.");
  cluster
    .command("join <name> [helm...]")
    .summary("print the command that installs a cluster's agent")
    .description(
      "Print the `helm install` that lets a cluster join: with a one-time token, and with whom its agent is to trust. Nothing else has to be copied. What is printed holds a secret that is good for one agent, for a short time. What follows `--` goes to helm, such as `-- --set rbac.namespaces={web}`.",
    )
    .addOption(ttlOption())
    .addOption(new Option("--chart <chart>", "the agent's chart: a path or a reference").default(CHART))
    .addOption(new Option("-n, --namespace <namespace>", "namespace of the agent").default(NAMESPACE))
    .addOption(new Option("--kube-context <name>", "context of the kubeconfig that is the new cluster"))
    .addOption(new Option("--from-secret", "keep the token out of the chart's values: a Secret of its own holds it"))
    .addOption(new Option("-o, --output <format>", "what to print").choices(["command", "values", "json"]).default("command"))
    .action(async (name: string, helm: readonly string[], options: JoinOptions) => {
      const join = await invite(cli, name, options.ttl);
      if (options.output === "json") return cli.print(JSON.stringify(join, null, 2));
      cli.print(options.output === "values" ? valuesOf(join, options) : commandOf(join, { ...options, helm }));
      cli.remark(`The token is good for one agent, until ${join.expiresAt}. To see it come: muster get agents ${name} --watch`);
    });
  cluster
    .command("approve <name>")
    .summary("let the agent that waits act for a cluster")
    .description(
      "Let the agent that waits act for a cluster; one that acted for it before is revoked. `muster get agents` shows who waits.",
    )
    .addOption(new Option("--fingerprint <hex>", "approve only this one: the beginning of its fingerprint, at least 16 characters"))
    .action(async (name: string, { fingerprint }: { fingerprint?: string }) => {
      const api = await cli.api();
      await suggesting(api, { cluster: name }, async () => {
        const { pending } = await api.get<Agent>(`/agents/${encodeURIComponent(name)}`);
        if (!pending) throw new CodedError("AGENT_NOT_PENDING", `Nobody waits for an approval of ${name}`);
        if (fingerprint !== undefined && (fingerprint.length < 16 || !pending.fingerprint.startsWith(fingerprint.toLowerCase())))
          throw new CodedError("AGENT_NOT_PENDING", `The agent that waits for ${name} has the fingerprint ${pending.fingerprint}`);
        await api.post(`/agents/${encodeURIComponent(name)}/approve`, { fingerprint: pending.fingerprint });
        cli.print(`The agent ${pending.fingerprint.slice(0, 16)} acts for ${name} now.`);
      });
    });
  cluster
    .command("rotate <name>")
    .summary("let a cluster's agent make other keys")
    .description("Let a cluster's agent make other keys and renew with them, now; the ones that it had are revoked. It must be connected.")
    .action(async (name: string) => {
      const api = await cli.api();
      await suggesting(api, { cluster: name }, async () => void (await api.post(`/agents/${encodeURIComponent(name)}/rotate`, {})));
      cli.print(`The agent of ${name} was asked to make other keys. To see it done: muster get agents ${name}`);
    });
  cluster
    .command("revoke <name>")
    .summary("let nobody act for a cluster any more")
    .description(
      "End the connections of a cluster's agent, to the hub and to NATS, and let nobody act for it until a new agent has joined. Its workloads stay as they are.",
    )
    .action(async (name: string) => {
      const api = await cli.api();
      await suggesting(api, { cluster: name }, async () => void (await api.post(`/agents/${encodeURIComponent(name)}/revoke`, {})));
      cli.print(`Nobody acts for ${name} any more. To let an agent join anew: muster cluster join ${name}`);
    });
}

/** `muster token create`. */
export function addTokenCommand(program: Command, cli: Cli): void {
  program
    .command("token")
    .summary("make one-time tokens for agents")
    .description("Make one-time tokens for agents.")
    .command("create <cluster>")
    .summary("print a token with which a cluster's agent enrols")
    .description(
      "Print a token with which a cluster's agent enrols. A token that was given out before is void. `muster cluster join` prints all that is needed.",
    )
    .addOption(ttlOption())
    .action(async (name: string, { ttl }: { ttl?: number }) => {
      const { token, expiresAt } = await invite(cli, name, ttl);
      cli.print(token);
      cli.remark(`Good for one agent of ${name}, until ${expiresAt}.`);
    });
}

function ttlOption(): Option {
  return new Option("--ttl <duration>", "how long the token is good: 90s, 15m, 24h at most (default 15m)").argParser(parseTtl);
}

function parseTtl(text: string): number {
  const [, count, unit] = /^(\d{1,6})(s|m|h)$/.exec(text) ?? [];
  const seconds = Number(count) * { s: 1, m: 60, h: 3_600 }[(unit ?? "s") as "s" | "m" | "h"];
  if (!unit || seconds < 60 || seconds > 86_400)
    throw new CodedError("CLI_USAGE", `--ttl is a time between 60s and 24h, such as 15m, not ${text}`);
  return seconds;
}

async function invite(cli: Cli, name: string, ttlSeconds: number | undefined): Promise<Join> {
  const api = await cli.api();
  let join: Join | undefined;
  await suggesting(api, { cluster: name }, async () => {
    join = await api.post<Join>(`/agents/${encodeURIComponent(name)}/token`, ttlSeconds === undefined ? {} : { ttlSeconds });
  });
  if (!join) throw new CodedError("INTERNAL", "the hub gave no token");
  return join;
}

/** Values of the agent's chart. */
function valuesOf(join: Join, { fromSecret }: Pick<JoinOptions, "fromSecret">): string {
  return stringify({
    cluster: { name: join.cluster },
    trustDomain: join.trustDomain,
    hub: { address: join.hubAddress, enrolAddress: join.enrolAddress },
    nats: { url: join.natsUrl },
    trust: { ca: join.ca, signingKeys: join.signingKeys, ...(join.natsCa !== undefined && { natsCa: join.natsCa }) },
    enrolment: fromSecret ? { existingSecret: TOKEN_SECRET } : { token: join.token },
  });
}

/** Everything through standard input: what stands in a command line, other users of the machine can read. */
function commandOf(join: Join, options: JoinOptions & { readonly helm: readonly string[] }): string {
  const { chart, namespace, kubeContext, fromSecret } = options;
  const version = chart === CHART ? ` --version ${CLI_VERSION}` : "";
  const helm = `helm install muster-agent ${quote(chart)}${version} --namespace ${quote(namespace)} --create-namespace${kubeContext ? ` --kube-context ${quote(kubeContext)}` : ""} -f -${options.helm.map((argument) => ` ${quote(argument)}`).join("")}`;
  const install = `${helm} <<'EOF'\n${valuesOf(join, options)}EOF`;
  if (!fromSecret) return install;
  const kubectl = `kubectl${kubeContext ? ` --context ${quote(kubeContext)}` : ""}`;
  const secret = stringify({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: TOKEN_SECRET, namespace },
    stringData: { [TOKEN_KEY]: join.token },
  });
  return [`${kubectl} create namespace ${quote(namespace)}`, `${kubectl} create -f - <<'EOF'\n${secret}EOF`, install].join("\n");
}

function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
