import { createHmac, timingSafeEqual } from "node:crypto";
import { CodedError } from "@muster/shared/errors";

/** Largest body of a webhook, in bytes. */
export const WEBHOOK_BODY_BYTES = 256 * 1024;

/** A configured source, as a webhook may name it. */
export interface WebhookSource {
  readonly name: string;
  readonly url: string;
  /** Branch, tag or commit. Absent: any push to the URL is one to the source. */
  readonly ref?: string;
}

/** The signature of a request's header. Throws HOOK_SIGNATURE if there is none: then the body is not even read. */
export function signatureOf(header: unknown): Buffer {
  const digits = typeof header === "string" ? /^sha256=([0-9a-f]{64})$/i.exec(header)?.[1] : undefined;
  if (digits === undefined) throw wrongSignature();
  return Buffer.from(digits, "hex");
}

/** Checks `X-Hub-Signature-256` (as GitHub, Gitea and Forgejo send it) over the raw body. Throws HOOK_SIGNATURE. */
export function verifyWebhook(body: Buffer, header: unknown, secret: string): void {
  const given = signatureOf(header);
  const wanted = createHmac("sha256", secret).update(body).digest();
  // Everybody can sign with an empty secret.
  if (!timingSafeEqual(given, wanted) || secret === "") throw wrongSignature();
}

function wrongSignature(): CodedError {
  return new CodedError("HOOK_SIGNATURE", "The webhook's X-Hub-Signature-256 is missing or does not fit its body");
}

/**
 * The sources that a verified webhook is about. The payload is a hint and never says what to fetch: it only chooses among the
 * configured sources by their exact URL, and of these leaves out those that watch another branch or tag than the one that was
 * pushed. undefined: no source is named, so all are meant (a host may know itself by another name than the hub does).
 */
export function sourcesOfWebhook(body: Buffer, configured: readonly WebhookSource[]): string[] | undefined {
  const payload = parseObject(body);
  const repository = asObject(payload?.["repository"]);
  const urls = [repository?.["clone_url"], repository?.["html_url"], repository?.["git_http_url"]]
    .filter((url) => typeof url === "string")
    .map(normalise);
  const named = configured.filter((source) => urls.includes(normalise(source.url)));
  if (named.length === 0) return undefined;
  const ref = payload?.["ref"];
  const pushed = typeof ref === "string" ? /^refs\/(?:heads|tags)\/(.+)$/s.exec(ref)?.[1] : undefined;
  return named
    .filter((source) => pushed === undefined || source.ref === undefined || [pushed, ref].includes(source.ref))
    .map(({ name }) => name);
}

function parseObject(body: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    return asObject(JSON.parse(body.toString("utf8")));
  } catch {
    // Not every host sends JSON.
    return undefined;
  }
}

function asObject(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : undefined;
}

/** Hosts name a repository with and without `.git`. */
function normalise(url: string): string {
  return (URL.canParse(url) ? new URL(url).href : url).replace(/\/+$/, "").replace(/\.git$/, "");
}
