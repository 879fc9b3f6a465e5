import { CodedError } from "@muster/shared/errors";
import type { Agent, Join } from "../api-views.ts";

const AT = "2026-10-05T03:12:00.000Z";
/** Of the agent that waits for `lab-1`. */
export const WAITING = "9c1b2a3f".repeat(8);

/** What the API does about agents. */
export interface SampleAgents {
  list(): readonly Agent[];
  join(cluster: string, options: { readonly ttlMs?: number }): Join;
  approve(cluster: string, fingerprint?: string): Agent;
  revoke(cluster: string): Agent;
  rotate(cluster: string): Promise<void>;
}

/** One agent acts for each cluster; for the last one another one waits. */
export function sampleAgents(clusters: readonly string[]): SampleAgents {
  const last = clusters.at(-1);
  const agents = new Map(
    clusters.map((cluster): [string, Agent] => [
      cluster,
      {
        cluster,
        state: cluster === last ? "Pending" : "Enrolled",
        fingerprint: "3f2a1b9c".repeat(8),
        origin: "token",
        since: AT,
        certificateEndsAt: "2026-11-04T03:12:00.000Z",
        ...(cluster === last && { pending: { fingerprint: WAITING, reason: "another-identity", since: AT } }),
        revoked: 0,
        connected: true,
      },
    ]),
  );
  const of = (cluster: string): Agent => {
    const agent = agents.get(cluster);
    if (!agent) throw new CodedError("API_NOT_FOUND", `There is no cluster ${cluster}`);
    return agent;
  };
  const change = (cluster: string, to: Omit<Agent, "cluster">): Agent => {
    const agent = { cluster: of(cluster).cluster, ...to };
    agents.set(cluster, agent);
    return agent;
  };
  return {
    list: () => [...agents.values()],
    join: (cluster, { ttlMs = 900_000 }) => ({
      cluster: of(cluster).cluster,
      token: "muster_join_sample",
      expiresAt: new Date(Date.parse(AT) + ttlMs).toISOString(),
      trustDomain: "muster.local",
      hubAddress: "hub.example:8443",
      enrolAddress: "hub.example:8444",
      natsUrl: "nats://nats.example:4222",
      ca: "-----BEGIN CERTIFICATE-----\nca\n-----END CERTIFICATE-----\n",
      signingKeys: "-----BEGIN PUBLIC KEY-----\nkey\n-----END PUBLIC KEY-----\n",
    }),
    approve(cluster, fingerprint) {
      const { pending } = of(cluster);
      if (pending?.fingerprint !== fingerprint) throw new CodedError("AGENT_NOT_PENDING", `Nobody waits for an approval of ${cluster}`);
      return change(cluster, { state: "Enrolled", fingerprint: WAITING, origin: "approval", since: AT, revoked: 1, connected: false });
    },
    rotate: async (cluster) => void of(cluster),
    revoke: (cluster) => change(cluster, { state: "None", revoked: 1, connected: false }),
  };
}
