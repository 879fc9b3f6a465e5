import { createHmac, timingSafeEqual } from "node:crypto";
import { CodedError } from "@muster/shared/errors";

/** Largest body of a webhook, in bytes. */
export const WEBHOOK_BODY_BYTES = 256 * 1024;

/** Checks `X-Hub-Signature-256` (as GitHub, Gitea and Forgejo send it) over the raw body. Throws HOOK_SIGNATURE. */
export function verifyWebhook(body: Buffer, header: unknown, secret: string): void {
  const given = typeof header === "string" && header.startsWith("sha256=") ? header.slice("sha256=".length) : "";
  const wanted = createHmac("sha256", secret).update(body).digest();
  const bytes = Buffer.from(given, "hex");
  if (bytes.length !== wanted.length || !timingSafeEqual(bytes, wanted)) {
    throw new CodedError("HOOK_SIGNATURE", "The webhook's X-Hub-Signature-256 is missing or does not fit its body");
  }
}

/**
 * The sources that a verified webhook is about: those whose configured URL it names exactly. undefined: it names none, so all.
 * The payload only chooses among what is configured; it never says what to fetch.
 */
export function sourcesOfWebhook(body: Buffer, configured: readonly { readonly name: string; readonly url: string }[]): string[] | undefined {
  let payload: { repository?: { clone_url?: unknown; html_url?: unknown; git_http_url?: unknown } } | null;
  try {
    payload = JSON.parse(body.toString("utf8")) as typeof payload;
  } catch {
    return undefined;
  }
  const repository = typeof payload === "object" && payload !== null ? payload.repository : undefined;
  const urls = [repository?.clone_url, repository?.html_url, repository?.git_http_url].filter((url) => typeof url === "string").map(normalise);
  if (urls.length === 0) return undefined;
  return configured.filter((source) => urls.includes(normalise(source.url))).map((source) => source.name);
}

function normalise(url: string): string {
  return url.replace(/\/+$/, "").replace(/\.git$/, "").toLowerCase();
}
