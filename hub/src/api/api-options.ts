import type { Clock } from "@muster/shared/runtime";
import type { Logger, Metrics } from "@muster/shared/telemetry";
import type { AgentCommands } from "../agents/commands.ts";
import type { FleetQueries } from "../status/views.ts";
import type { AgentAdministration } from "./agent-routes.ts";
import type { MakeBackup } from "./backup-route.ts";
import type { WebhookSource } from "./webhook.ts";

/** Options of {@link createApi}. */
export interface ApiOptions {
  readonly queries: FleetQueries;
  readonly commands: AgentCommands;
  readonly agents: AgentAdministration;
  readonly backup: MakeBackup;
  /** “Look now”: one source by name, or all. Many calls while one look runs are to make one more look. */
  readonly look: (source?: string) => void;
  readonly sources: readonly WebhookSource[];
  /** The bearer token; asked for every request, so that it can be replaced. */
  readonly token: () => string;
  readonly webhookSecret: () => string;
  readonly metrics: Metrics;
  readonly ready: () => { readonly ready: boolean; readonly reasons: readonly string[] };
  /**
   * Whether Git was read, so that an empty list means that there is nothing. Before that, lists and single things answer
   * API_NOT_READY: missing is never empty. `/fleet`, which shows what keeps the hub from it, answers always. Default: true.
   */
  readonly loaded?: () => boolean;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly version: string;
  readonly tls?: { readonly cert: string; readonly key: string };
}
