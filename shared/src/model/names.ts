/** A cluster name: one token, so that it can stand in a NATS subject, a certificate and a label value. */
export const CLUSTER_NAME_PATTERN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** A bundle name has the same form; it becomes a label value. */
export const BUNDLE_NAME_PATTERN = CLUSTER_NAME_PATTERN;

/** True if the text may name a cluster. Compared whole, never as a prefix (OCM CVE-2026-4740). */
export function isClusterName(name: string): boolean {
  return CLUSTER_NAME_PATTERN.test(name);
}

/** Our one server-side-apply identity. It never changes between releases, or ownership of every field would be lost. */
export const FIELD_MANAGER = "muster";

/** Label on every object that Muster applies; its value is the bundle. Watches select on it. */
export const BUNDLE_LABEL = "muster.dev/bundle";

/** The API version of the documents that people write. */
export const API_VERSION = "muster.dev/v1alpha1";
