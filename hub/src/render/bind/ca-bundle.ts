import { CodedError, type InputPosition } from "@muster/shared/errors";
import { isJsonObject, type JsonObject, type JsonValue, type Manifest, splitApiVersion } from "@muster/shared/model";
import type { RenderNotice } from "../renderer.ts";
import { describeLoosely } from "./check-object.ts";

/** Where the API has the certificates by which it trusts a server that it calls, per `group/Kind`; `*` is every entry of a list. */
const PLACES: Readonly<Record<string, readonly string[]>> = {
  "admissionregistration.k8s.io/MutatingWebhookConfiguration": ["webhooks", "*", "clientConfig"],
  "admissionregistration.k8s.io/ValidatingWebhookConfiguration": ["webhooks", "*", "clientConfig"],
  "apiextensions.k8s.io/CustomResourceDefinition": ["spec", "conversion", "webhook", "clientConfig"],
  "apiregistration.k8s.io/APIService": ["spec"],
};

/** Annotations by which cert-manager and OpenShift are told to fill in a caBundle. */
const INJECTED = /\/inject-(?:ca|apiserver-ca)/;

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----\s+(?:[A-Za-z0-9+/=]+\s+)+-----END CERTIFICATE-----/;

/** An object with certificates that the API server can read, or none. */
export interface CheckedCaBundles {
  readonly manifest: Manifest;
  readonly notice?: RenderNotice;
}

/**
 * A caBundle that holds no certificate is dropped where it keeps the place for one: it is blank, or an annotation tells who fills it in.
 * Applied, it would be ours, and fought over with whoever does (E038). Any other is a mistake that the API server finds only when it
 * calls: throws OBJECT_INVALID.
 */
export function checkCaBundles(manifest: Manifest, at: InputPosition): CheckedCaBundles {
  const place = PLACES[`${splitApiVersion(manifest.apiVersion).group}/${manifest.kind}`];
  if (!place) return { manifest };
  const { annotations } = manifest.metadata;
  const isInjected = isJsonObject(annotations) && Object.keys(annotations).some((key) => INJECTED.test(key));
  const dropped: string[] = [];
  const check = (owner: JsonObject, pointer: string): JsonObject => {
    const { caBundle, ...rest } = owner;
    if (caBundle === undefined || caBundle === null || isCertificate(caBundle)) return owner;
    if (!isInjected && !isBlank(caBundle)) {
      throw new CodedError(
        "OBJECT_INVALID",
        `${describeLoosely(manifest)} has no certificate in ${pointer}/caBundle: it must be PEM in base64`,
        {
          at,
          data: { path: `${pointer}/caBundle` },
        },
      );
    }
    dropped.push(`${pointer}/caBundle`);
    return rest;
  };
  const checked = within(manifest, place, "", check) as Manifest;
  if (dropped.length === 0) return { manifest };
  const message = `${describeLoosely(manifest)} keeps a place in ${dropped.join(", ")}, and no certificate; it is left out, for somebody else to fill in`;
  return { manifest: checked, notice: { type: "CaBundleDropped", message } };
}

/** Replaces what stands at a path; shares what did not change. */
function within(
  value: JsonValue,
  path: readonly string[],
  pointer: string,
  change: (owner: JsonObject, pointer: string) => JsonObject,
): JsonValue {
  const [step, ...rest] = path;
  if (step === "*") return Array.isArray(value) ? value.map((item, index) => within(item, rest, `${pointer}/${index}`, change)) : value;
  if (!isJsonObject(value)) return value;
  if (step === undefined) return change(value, pointer);
  const inner = value[step];
  if (inner === undefined) return value;
  const changed = within(inner, rest, `${pointer}/${step}`, change);
  return changed === inner ? value : { ...value, [step]: changed };
}

function isBlank(value: JsonValue): boolean {
  return typeof value === "string" && (value.trim() === "" || decoded(value)?.trim() === "");
}

function isCertificate(value: JsonValue): boolean {
  return typeof value === "string" && CERTIFICATE.test(decoded(value) ?? "");
}

/** As the API server decodes bytes: line breaks do not count. */
function decoded(text: string): string | undefined {
  const joined = text.replace(/[\r\n]/g, "");
  return BASE64.test(joined) ? Buffer.from(joined, "base64").toString("latin1") : undefined;
}
