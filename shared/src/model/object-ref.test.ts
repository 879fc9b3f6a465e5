import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { describeObjectRef, formatObjectRef, isManifest, objectRefOf, parseObjectRef } from "./object-ref.ts";

describe("object refs", () => {
  it("every ref survives its text form, even RBAC names with underscores and colons", () => {
    const token = fc.stringMatching(/^[a-z0-9.-]{0,20}$/);
    const name = fc.stringMatching(/^[a-z0-9:_.-]{1,30}$/);
    const kind = fc.stringMatching(/^[A-Z][A-Za-z]{0,15}$/);
    fc.assert(
      fc.property(token, kind, token, name, (group, kind, namespace, name) => {
        const ref = { group, kind, namespace, name };
        expect(parseObjectRef(formatObjectRef(ref))).toEqual(ref);
      }),
    );
  });

  it("text that is no ref is refused", () => {
    for (const text of ["", "a", "a_b", "a_b_c", "a_b_c_"]) expect(() => parseObjectRef(text)).toThrow(RangeError);
  });

  it("E031: the API version is not part of an object's identity", () => {
    const of = (apiVersion: string) =>
      formatObjectRef(objectRefOf({ apiVersion, kind: "Deployment", metadata: { name: "web", namespace: "a" } }));
    expect(of("apps/v1")).toBe(of("apps/v1beta1"));
  });

  it("reads for people as kubectl would say it", () => {
    expect(describeObjectRef({ group: "apps", kind: "Deployment", namespace: "podinfo", name: "web" })).toBe("Deployment podinfo/web");
    expect(describeObjectRef({ group: "example.com", kind: "Widget", namespace: "", name: "one" })).toBe("Widget.example.com one");
  });

  it("what lacks apiVersion, kind or a name is no manifest", () => {
    expect(isManifest({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" } })).toBe(true);
    for (const bad of [
      null,
      [],
      {},
      { apiVersion: "v1", kind: "ConfigMap", metadata: {} },
      { apiVersion: "", kind: "A", metadata: { name: "a" } },
    ]) {
      expect(isManifest(bad)).toBe(false);
    }
  });
});
