import { describe, expect, it } from "vitest";
import { errorFromAnswer, errorFromTransport } from "./map-error.ts";

const SUBJECT = { verb: "apply", what: "ConfigMap web/site" };
const status = (reason: string, message: string, details: object = {}) =>
  JSON.stringify({ kind: "Status", status: "Failure", reason, message, details });

describe("an answer of the API server", () => {
  it.each<[number, string, string]>([
    [401, status("Unauthorized", "Unauthorized"), "KUBE_UNAUTHORIZED"],
    [403, status("Forbidden", 'configmaps "x" is forbidden: User "y" cannot patch resource "configmaps"'), "KUBE_FORBIDDEN"],
    // A refusal to act in somebody's name, as seen on 1.36 and before.
    [403, status("Forbidden", 'x is forbidden: User "y" cannot impersonate-on:serviceaccount:get resource "x"'), "KUBE_FORBIDDEN"],
    [
      403,
      status("Forbidden", 'serviceaccounts "x" is forbidden: User "y" cannot impersonate resource "serviceaccounts"'),
      "KUBE_FORBIDDEN",
    ],
    [403, status("Forbidden", 'pods "x" is forbidden: exceeded quota: q'), "KUBE_QUOTA"],
    [403, status("Forbidden", 'admission webhook "p" denied the request'), "KUBE_DENIED"],
    [403, status("Forbidden", "x", { causes: [{ reason: "NamespaceTerminating" }] }), "NAMESPACE_TERMINATING"],
    [404, status("NotFound", 'configmaps "site" not found', { kind: "configmaps", name: "site" }), "KUBE_NOT_FOUND"],
    [404, status("NotFound", 'namespaces "web" not found', { kind: "namespaces", name: "web" }), "NAMESPACE_MISSING"],
    [409, status("Conflict", "the object has been modified"), "KUBE_CONFLICT"],
    [410, status("Expired", "too old resource version"), "KUBE_CONFLICT"],
    [413, "", "KUBE_TOO_LARGE"],
    [422, status("Invalid", "spec.x: Required value", { causes: [{ message: "Required value", field: "spec.x" }] }), "KUBE_INVALID"],
    [422, status("Invalid", "x", { causes: [{ message: "field is immutable", field: "spec.selector" }] }), "KUBE_IMMUTABLE"],
    // An apply for one object, whose name another one has by now.
    [422, status("Invalid", "x", { causes: [{ message: "field is immutable", field: "metadata.uid" }] }), "KUBE_CONFLICT"],
    [429, status("TooManyRequests", "wait"), "KUBE_THROTTLED"],
    [500, status("InternalError", "etcdserver: request timed out"), "KUBE_SERVER"],
    [500, status("", "failed to create typed patch object: .spec.x: field not declared in schema"), "KUBE_INVALID"],
    [503, "upstream connect error", "KUBE_SERVER"],
  ])("%i %s is %s", (code, body, expected) => {
    expect(errorFromAnswer(code, body, SUBJECT)).toMatchObject({
      code: expected,
      message: expect.stringContaining("apply ConfigMap web/site"),
    });
  });

  it.each(["404 page not found\n", "<html>no such host</html>", "", "{}"])(
    "404 with %j, which no API server says of an object, never means that it is gone",
    (body) => {
      expect(errorFromAnswer(404, body, SUBJECT).code).toBe("KUBE_SERVER");
    },
  );

  it("says how long to wait, from the header or the body", () => {
    expect(errorFromAnswer(429, "", SUBJECT, "7").data).toMatchObject({ retryAfterMs: 7_000 });
    expect(errorFromAnswer(429, status("TooManyRequests", "x", { retryAfterSeconds: 3 }), SUBJECT).data).toMatchObject({
      retryAfterMs: 3_000,
    });
  });

  it.each([
    'Invalid value: {"labels":{}}: field is immutable',
    "Forbidden: field is immutable when `immutable` is set",
    'Invalid value: ["10.0.0.21"]: may not change once set',
    "Forbidden: updates to statefulset spec for fields other than 'replicas' and 'minReadySeconds' are forbidden",
    "Forbidden: pod updates may not change fields other than `spec.containers[*].image`",
    "Forbidden: spec is immutable after creation except resources.requests\n@@ -1 @@\n-  a: b",
    "Forbidden: may not be changed in an update.",
    'Invalid value: {"Name":"edit"}: cannot change roleRef',
    'Invalid value: "2": failed rule: self == oldSelf',
  ])("E046: %j is KUBE_IMMUTABLE, told by its field", (message) => {
    const body = status("Invalid", message, { causes: [{ message, field: "spec.x" }] });
    expect(errorFromAnswer(422, body, SUBJECT)).toMatchObject({
      code: "KUBE_IMMUTABLE",
      message: "apply ConfigMap web/site: spec.x cannot be changed once it is set",
      data: { fields: ["spec.x"] },
    });
  });

  it("E047: the words of an immutable field within a refused value, or beside another refusal, are none", () => {
    const immutable = { message: "field is immutable", field: "spec.x" };
    for (const causes of [
      [{ message: 'Invalid value: "field is immutable": must be a number', field: "spec.x" }],
      [{ message: 'Invalid value: "field is immutable"', field: "spec.x" }],
      [{ reason: "FieldValueNotFound", message: "Not found: x is immutable", field: "spec.x" }],
      [immutable, { message: "Required value", field: "spec.y" }],
    ]) {
      expect(errorFromAnswer(422, status("Invalid", "x", { causes }), SUBJECT).code).toBe("KUBE_INVALID");
    }
  });

  it("S1: tells of a Secret only where, never what", () => {
    const body = status("Invalid", 'Secret is invalid: data.x: Invalid value: "canary"', {
      causes: [{ message: 'Invalid value: "canary"', field: "data.x" }],
    });
    const { message } = errorFromAnswer(422, body, { ...SUBJECT, secret: true });
    expect(message).not.toContain("canary");
    expect(message).toContain("data.x");
  });
});

describe("no answer", () => {
  it("is KUBE_UNREACHABLE, which is tried again, with the reason of the network", () => {
    const error = errorFromTransport(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }), SUBJECT);
    expect([error.code, error.info.retryable, error.message]).toEqual(["KUBE_UNREACHABLE", true, expect.stringContaining("ECONNRESET")]);
  });
});
