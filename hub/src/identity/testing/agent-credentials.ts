import { generateKeyPairSync } from "node:crypto";
import { createUser, fmtCreds } from "@nats-io/jwt";
import { certifyClient, type KeyedCertificate } from "../certificates.ts";
import type { HubIdentity } from "../identity.ts";

/** A client certificate with a key of its own. */
export async function issueClientCertificate(authority: KeyedCertificate, uri: string, days = 365): Promise<KeyedCertificate> {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { cert } = await certifyClient(authority, { uri, spki: publicKey.export({ type: "spki", format: "der" }), days });
  return { cert, key: privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
}

/** What an agent of a cluster has after it has enrolled. */
export async function agentCredentials(
  identity: Pick<HubIdentity, "grant" | "ca">,
  cluster: string,
): Promise<KeyedCertificate & { readonly ca: string; readonly natsCreds: string; readonly natsKey: string }> {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const encryption = generateKeyPairSync("x25519").publicKey.export({ type: "spki", format: "der" }).subarray(-32);
  const user = createUser();
  const tls = publicKey.export({ type: "spki", format: "der" });
  const { grant } = await identity.grant(cluster, { tls, nats: user.getPublicKey(), encryption });
  return {
    cert: grant.certificate,
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    ca: identity.ca,
    natsKey: user.getPublicKey(),
    natsCreds: new TextDecoder().decode(fmtCreds(grant.natsJwt, user)),
  };
}
