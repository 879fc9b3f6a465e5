import type { ClusterAccess, IdentityOrigin, PendingReason, PublicKeysInGit } from "./cluster-access.ts";

/** Who acts for a cluster, as operators see it. Public keys only. */
export interface AgentView {
  readonly cluster: string;
  /**
   * `Enrolled`: an agent acts for it. `Pending`: one waits for an approval, beside one that acts or not. `Invited`: a token was given out, and
   * nobody has come. `None`: nobody acts, and nobody was asked to.
   */
  readonly state: "Enrolled" | "Pending" | "Invited" | "None";
  readonly fingerprint?: string;
  /** Its public keys, as `spec.identity` of a Cluster document takes them. */
  readonly identity?: PublicKeysInGit;
  readonly origin?: IdentityOrigin;
  readonly since?: string;
  readonly certificateEndsAt?: string;
  readonly pending?: { readonly fingerprint: string; readonly reason: PendingReason; readonly since: string };
  readonly token?: { readonly expiresAt: string; readonly createdBy: string };
  readonly revoked: number;
  readonly connected: boolean;
}

export function agentView(
  cluster: string,
  access: ClusterAccess,
  options: { readonly connected: boolean; readonly nowMs: number },
): AgentView {
  const { current, pending, token, revoked } = access;
  const isInvited = token !== undefined && token.usedBy === undefined && Date.parse(token.expiresAt) > options.nowMs;
  return {
    cluster,
    state: pending ? "Pending" : current ? "Enrolled" : isInvited ? "Invited" : "None",
    ...(current && {
      fingerprint: current.keys.fingerprint,
      identity: { tls: current.keys.tls, nats: current.keys.nats, encryption: current.keys.encryption },
      origin: current.origin,
      since: current.since,
      certificateEndsAt: current.certificateEndsAt,
    }),
    ...(pending && { pending: { fingerprint: pending.keys.fingerprint, reason: pending.reason, since: pending.since } }),
    ...(isInvited && { token: { expiresAt: token.expiresAt, createdBy: token.createdBy } }),
    revoked: revoked.length,
    connected: options.connected,
  };
}
