import { createPrivateKey, webcrypto, X509Certificate } from "node:crypto";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";

x509.cryptoProvider.set(webcrypto as unknown as Crypto);

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const DAY_MS = 86_400_000;

/** A certificate and its private key as PEM. */
export interface KeyedCertificate {
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority for one trust domain, valid for ten years. */
export async function createAuthority(trustDomain: string): Promise<KeyedCertificate> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: `CN=${trustDomain} agents and hub`,
    ...validity(3_650),
    signingAlgorithm: ALGORITHM,
    keys: keys as { publicKey: CryptoKey; privateKey: CryptoKey },
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey as CryptoKey),
    ],
  });
  return { cert: cert.toString("pem"), key: await exportKey(keys.privateKey) };
}

/** A server certificate for DNS names and IP addresses. */
export async function issueServerCertificate(authority: KeyedCertificate, names: readonly string[], days = 365): Promise<KeyedCertificate> {
  const alternatives = names.map((name) => ({ type: /^[\d.]+$|:/.test(name) ? ("ip" as const) : ("dns" as const), value: name }));
  return issue(authority, { subject: "CN=muster-hub", alternatives, usage: x509.ExtendedKeyUsage.serverAuth, days });
}

/** A client certificate for a key that somebody else has: P-256, as SubjectPublicKeyInfo. Its identity is a URI SAN, in the form of SPIFFE. */
export async function certifyClient(
  authority: KeyedCertificate,
  options: { readonly uri: string; readonly spki: Uint8Array; readonly days: number },
): Promise<{ readonly cert: string; readonly notAfterMs: number }> {
  const key = await webcrypto.subtle.importKey("spki", Buffer.from(options.spki), ALGORITHM, true, ["verify"]);
  const subject = { subject: "CN=muster-agent", alternatives: [{ type: "url", value: options.uri }] as x509.JsonGeneralNames };
  const cert = await certify(authority, key, { ...subject, usage: x509.ExtendedKeyUsage.clientAuth, days: options.days });
  return { cert, notAfterMs: readCertificate(cert).notAfterMs };
}

/** Reads a pair that was kept as JSON. Throws if it is none. */
export function parseKeyedCertificate(text: string): KeyedCertificate {
  const { cert, key } = JSON.parse(text) as Partial<KeyedCertificate>;
  if (!cert || !key || !new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)))
    throw new RangeError("not a certificate and its key");
  return { cert, key };
}

/** Reads an authority that was kept as JSON. Throws if it is none. */
export function parseAuthority(text: string): KeyedCertificate {
  const authority = parseKeyedCertificate(text);
  if (!new X509Certificate(authority.cert).ca) throw new RangeError("not a certificate of an authority");
  return authority;
}

/** true if the authority's key has signed the certificate. */
export function isIssuedBy(pem: string, authority: KeyedCertificate): boolean {
  return new X509Certificate(pem).verify(new X509Certificate(authority.cert).publicKey);
}

/** Names in a certificate, and when it ends, in milliseconds since 1970. */
export function readCertificate(pem: string): { readonly names: readonly string[]; readonly notAfterMs: number } {
  const certificate = new x509.X509Certificate(pem);
  const extension = certificate.getExtension(x509.SubjectAlternativeNameExtension);
  return { names: extension?.names.items.map((item) => item.value) ?? [], notAfterMs: certificate.notAfter.getTime() };
}

interface CertificateOptions {
  readonly subject: string;
  readonly alternatives: x509.JsonGeneralNames;
  readonly usage: string;
  readonly days: number;
}

async function issue(authority: KeyedCertificate, options: CertificateOptions): Promise<KeyedCertificate> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  return { cert: await certify(authority, keys.publicKey as CryptoKey, options), key: await exportKey(keys.privateKey) };
}

async function certify(authority: KeyedCertificate, publicKey: webcrypto.CryptoKey, options: CertificateOptions): Promise<string> {
  const issuer = new x509.X509Certificate(authority.cert);
  const signingKey = await webcrypto.subtle.importKey("pkcs8", x509.PemConverter.decodeFirst(authority.key), ALGORITHM, false, ["sign"]);
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: options.subject,
    issuer: issuer.subject,
    ...validity(options.days),
    signingAlgorithm: ALGORITHM,
    publicKey: publicKey as CryptoKey,
    signingKey: signingKey as CryptoKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([options.usage]),
      new x509.SubjectAlternativeNameExtension(options.alternatives),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return cert.toString("pem");
}

/** An hour of grace for clocks that are behind. */
function validity(days: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(Date.now() - DAY_MS / 24), notAfter: new Date(Date.now() + days * DAY_MS) };
}

function serial(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  bytes[0] = (bytes[0] ?? 0) & 0x7f;
  return Buffer.from(bytes).toString("hex");
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY");
}
