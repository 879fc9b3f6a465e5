import { systemClock } from "@muster/shared/runtime";
import { createMetrics, silentLogger } from "@muster/shared/telemetry";
import type { FleetQueries } from "../status/views.ts";
import { HUB_VERSION } from "../version.ts";
import { createApi } from "./create-api.ts";

/** `shared/docs/openapi.json`, as the running hub serves it. */
export async function generate(): Promise<Record<string, string>> {
  const unused = () => {
    throw new Error("only the schema is asked for");
  };
  const api = await createApi({
    queries: new Proxy({}, { get: () => unused }) as FleetQueries,
    commands: { reconcile: unused, inspect: unused, rotate: unused },
    agents: { list: unused, join: unused, approve: unused, revoke: unused, rotate: unused },
    backup: unused,
    look: unused,
    sources: [],
    token: unused,
    webhookSecret: unused,
    ready: unused,
    metrics: createMetrics(),
    logger: silentLogger(),
    clock: systemClock,
    version: HUB_VERSION,
  });
  await api.ready();
  const description = api.swagger();
  await api.close();
  return { "shared/docs/openapi.json": `${JSON.stringify(description, null, 2)}\n` };
}
