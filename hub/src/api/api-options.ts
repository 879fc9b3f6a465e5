import type { Clock } from "@muster/shared/runtime";
import type { Logger, Metrics } from "@muster/shared/telemetry";
import type { AgentCommands } from "../agents/commands.ts";
import type { FleetQueries } from "../status/views.ts";

/** Options of {@link createApi}. */
export interface ApiOptions {
  readonly queries: FleetQueries;
  readonly commands: AgentCommands;
  /** “Look now”: one source by name, or all. */
  readonly look: (source?: string) => void;
  readonly sources: readonly { readonly name: string; readonly url: string }[];
  /** The bearer token; asked for every request, so that it can be replaced. */
  readonly token: () => string;
  readonly webhookSecret: () => string;
  readonly metrics: Metrics;
  readonly ready: () => { readonly ready: boolean; readonly reasons: readonly string[] };
  readonly logger: Logger;
  readonly clock: Clock;
  readonly version: string;
  readonly tls?: { readonly cert: string; readonly key: string };
}
