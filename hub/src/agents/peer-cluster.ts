import { isClusterName } from "@muster/shared/model";

/**
 * The cluster that a verified client certificate names: exactly one URI, exactly `spiffe://<trust domain>/cluster/<name>`,
 * compared whole (OCM CVE-2026-4740 compared a prefix). `subjectAltName` is as Node's TLS gives it: `URI:…, DNS:…`.
 */
export function peerCluster(subjectAltName: string | undefined, trustDomain: string): string | undefined {
  const uris = (subjectAltName ?? "").split(", ").filter((name) => name.startsWith("URI:"));
  const prefix = `URI:spiffe://${trustDomain}/cluster/`;
  const [only] = uris;
  if (uris.length !== 1 || !only?.startsWith(prefix)) return undefined;
  const cluster = only.slice(prefix.length);
  return isClusterName(cluster) ? cluster : undefined;
}
