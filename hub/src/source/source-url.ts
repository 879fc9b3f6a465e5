import { CodedError } from "@muster/shared/errors";

/**
 * Only http and https, and neither credentials, nor a query, nor a fragment, which would end in logs. Throws SOURCE_CONFIG
 * that shows nothing of them.
 */
export function parseSourceUrl(text: string): string {
  // Node's error holds the whole text, and is no cause therefore.
  const url = URL.parse(text);
  if (!url) throw new CodedError("SOURCE_CONFIG", "The URL of a source cannot be read");
  if (url.protocol !== "https:" && url.protocol !== "http:")
    throw new CodedError("SOURCE_CONFIG", `Sources are fetched over http and https, not ${url.protocol}`);
  if (url.username || url.password)
    throw new CodedError("SOURCE_CONFIG", `The URL of the source on ${url.host} holds credentials; put them into a credentials file`);
  if (/[?#]/.test(text))
    throw new CodedError(
      "SOURCE_CONFIG",
      `The URL of the source on ${url.host} has a query or a fragment; put a token into a credentials file`,
    );
  return url.href.replace(/\/+$/, "");
}
