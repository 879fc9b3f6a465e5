import { readFileSync } from "node:fs";
import { CodedError } from "@muster/shared/errors";
import type { Clock } from "@muster/shared/runtime";
import type { AgentCommands } from "./agents/commands.ts";
import type { AgentAdministration } from "./api/agent-routes.ts";
import type { HubConfig } from "./config.ts";
import type { AccessStore } from "./enrolment/access-store.ts";
import { agentView } from "./enrolment/agent-views.ts";
import type { Enrolments } from "./enrolment/enrolments.ts";
import type { HubIdentity } from "./identity/identity.ts";

/** Options of {@link administerAgents}. */
export interface AdministrationOptions {
  readonly config: HubConfig;
  readonly identity: Pick<HubIdentity, "ca" | "signingPublicPem">;
  readonly enrolments: Enrolments;
  readonly store: AccessStore;
  /** Names of the clusters that Git declares. */
  readonly declared: () => Iterable<string>;
  readonly isConnected: (cluster: string) => boolean;
  readonly commands: Pick<AgentCommands, "rotate">;
  readonly clock: Clock;
}

/** What operators do about agents: tokens, approvals, revocations. */
export function administerAgents(options: AdministrationOptions): AgentAdministration {
  const { config, identity, enrolments, store, clock } = options;
  const natsCa = readNatsCa(config.nats.caFile);
  const view = (cluster: string) =>
    agentView(cluster, store.get(cluster), { connected: options.isConnected(cluster), nowMs: clock.wallMs() });
  const addressOf = (listen: string, told: string | undefined) =>
    told ?? `${config.grpc.serverNames[0]}:${listen.slice(listen.lastIndexOf(":") + 1)}`;
  return {
    list: () => [...new Set([...options.declared(), ...store.clusters])].map(view),
    join(cluster, { ttlMs }) {
      // Who asked will stand here once operators have names.
      const { token, expiresAt } = enrolments.createToken(cluster, { by: "api-token", ...(ttlMs !== undefined && { ttlMs }) });
      return {
        cluster,
        token,
        expiresAt,
        trustDomain: config.trustDomain,
        hubAddress: addressOf(config.grpc.listen, config.grpc.address),
        enrolAddress: addressOf(config.grpc.enrolListen, config.grpc.enrolAddress),
        natsUrl: config.nats.agentUrl ?? config.nats.url,
        ca: identity.ca,
        ...(natsCa !== undefined && { natsCa }),
        signingKeys: identity.signingPublicPem,
      };
    },
    approve(cluster, fingerprint) {
      enrolments.approve(cluster, fingerprint);
      return view(cluster);
    },
    async rotate(cluster) {
      if (enrolments.isPinned(cluster))
        throw new CodedError(
          "API_BAD_REQUEST",
          `Git says which keys the agent of ${cluster} has (spec.identity); take them out of it first`,
        );
      await options.commands.rotate(cluster);
    },
    revoke(cluster) {
      if (![...options.declared(), ...store.clusters].includes(cluster))
        throw new CodedError("API_NOT_FOUND", `There is no cluster ${cluster}`);
      enrolments.revoke(cluster);
      return view(cluster);
    },
  };
}

/** Agents dial the same NATS as the hub, whose CA no machine knows by itself. Throws CONFIG_INVALID. */
function readNatsCa(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new CodedError("CONFIG_INVALID", `nats.caFile ${path} cannot be read`, { cause, at: { file: path } });
  }
}
