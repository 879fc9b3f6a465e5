import { join } from "node:path";
import { systemClock } from "@muster/shared/runtime";
import { silentLogger } from "@muster/shared/telemetry";
import { createEnrolmentServer } from "../../hub/src/agents/enrolment-server.ts";
import { openAccessStore } from "../../hub/src/enrolment/access-store.ts";
import { createEnrolments } from "../../hub/src/enrolment/enrolments.ts";
import type { HubIdentity } from "../../hub/src/identity/identity.ts";

/** The part of a hub that lets agents join, and nothing else of it. */
export interface EnrolmentDesk {
  /** host:port. */
  readonly address: string;
  /** A token for a new agent of a cluster; whoever acted for it before does no more. */
  invite(cluster: string): string;
  stop(): Promise<void>;
}

export async function startEnrolmentDesk(options: {
  readonly identity: HubIdentity;
  readonly dataDir: string;
  readonly clusters: readonly string[];
}): Promise<EnrolmentDesk> {
  const { identity, dataDir, clusters } = options;
  const base = { clock: systemClock, logger: silentLogger() };
  const enrolments = createEnrolments({
    ...base,
    trustDomain: identity.trustDomain,
    store: openAccessStore(join(dataDir, "agents")),
    issuer: { issue: identity.grant },
    isDeclared: (cluster) => clusters.includes(cluster),
    hasLeft: () => false,
    wantedOf: () => undefined,
    onChange: () => {},
  });
  const server = createEnrolmentServer({ ...base, server: identity.server, enrolments, isReady: () => true });
  const port = await server.listen("127.0.0.1:0");
  return {
    address: `127.0.0.1:${port}`,
    invite(cluster) {
      const { current, pending } = enrolments.access(cluster);
      if (current || pending) enrolments.revoke(cluster);
      return enrolments.createToken(cluster, { by: "a test" }).token;
    },
    stop: () => server.close(),
  };
}
