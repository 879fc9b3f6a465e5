import type { JsonObject, Manifest } from "@muster/shared/model";
import { describe, expect, it } from "vitest";
import { checkCaBundles } from "./ca-bundle.ts";

const at = { file: "webhook.yaml", line: 3 };
const base64 = (text: string) => Buffer.from(text).toString("base64");
const CERTIFICATE = base64(`# a comment\n-----BEGIN CERTIFICATE-----\n${base64("der".repeat(30))}\n-----END CERTIFICATE-----\n`);
const GO_BREAKS_LINES = CERTIFICATE.replace(/(.{64})/g, "$1\n");

const webhooks = (bundles: readonly (string | undefined)[], annotations: JsonObject = {}): Manifest => ({
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "ValidatingWebhookConfiguration",
  metadata: { name: "check", annotations },
  webhooks: bundles.map((caBundle, index) => ({
    name: `w${index}`,
    clientConfig: { url: "https://x", ...(caBundle !== undefined && { caBundle }) },
  })),
});
const crd = (caBundle: string): Manifest => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "widgets.example.com" },
  spec: { conversion: { strategy: "Webhook", webhook: { clientConfig: { caBundle } } } },
});
const service = (caBundle: string): Manifest => ({
  apiVersion: "apiregistration.k8s.io/v1",
  kind: "APIService",
  metadata: { name: "v1.example.com" },
  spec: { group: "example.com", caBundle },
});
const bundlesIn = (manifest: Manifest) =>
  (manifest["webhooks"] as { clientConfig: JsonObject }[]).map(({ clientConfig }) => clientConfig["caBundle"]);

describe("E038: a caBundle in Git", () => {
  it("of certificates is applied as it is, and so is an object that has none", () => {
    for (const manifest of [webhooks([CERTIFICATE, GO_BREAKS_LINES]), webhooks([undefined]), crd(CERTIFICATE), service(CERTIFICATE)])
      expect(checkCaBundles(manifest, at)).toEqual({ manifest });
  });

  it.each(["", " ", "Cg==", "Cgo=", base64("\n \n")])("that only keeps a place (%j) is left out, with a remark", (blank) => {
    const { manifest, notice } = checkCaBundles(webhooks([CERTIFICATE, blank]), at);
    expect(bundlesIn(manifest)).toEqual([CERTIFICATE, undefined]);
    expect(notice).toMatchObject({ type: "CaBundleDropped", message: expect.stringContaining("/webhooks/1/clientConfig/caBundle") });
    for (const made of [crd(blank), service(blank)]) expect(JSON.stringify(checkCaBundles(made, at).manifest)).not.toContain("caBundle");
  });

  it.each(["cert-manager.io/inject-ca-from", "cert-manager.io/inject-apiserver-ca", "service.beta.openshift.io/inject-cabundle"])(
    "is left out, whatever it is, where %s says who fills it in; a certificate is not",
    (annotation) => {
      const { manifest, notice } = checkCaBundles(webhooks(["PLACEHOLDER", base64("no PEM"), CERTIFICATE], { [annotation]: "x" }), at);
      expect(bundlesIn(manifest)).toEqual([undefined, undefined, CERTIFICATE]);
      expect(notice?.type).toBe("CaBundleDropped");
    },
  );

  it.each([
    ["no base64", webhooks(["no base64!"]), "/webhooks/0/clientConfig/caBundle"],
    ["no PEM", crd(base64("not a certificate")), "/spec/conversion/webhook/clientConfig/caBundle"],
    ["a key", service(base64("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")), "/spec/caBundle"],
    ["half a certificate", service(base64("-----BEGIN CERTIFICATE-----\nAAAA")), "/spec/caBundle"],
  ])("that is %s is refused with file, line and path", (_, manifest, path) => {
    expect(() => checkCaBundles(manifest, at)).toThrow(
      expect.objectContaining({ code: "OBJECT_INVALID", at, data: { path }, message: expect.stringContaining(path) }),
    );
  });

  it("of a kind that only has such a field by chance is left alone", () => {
    const other: Manifest = { apiVersion: "example.com/v1", kind: "APIService", metadata: { name: "x" }, spec: { caBundle: "Cg==" } };
    expect(checkCaBundles(other, at)).toEqual({ manifest: other });
  });
});
