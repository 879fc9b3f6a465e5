import type { JsonObject, Manifest } from "@muster/shared/model";
import { describe, expect, it } from "vitest";
import { fixedPaths, managedBy, rulesFor } from "./ignore-rules.ts";

const web = (managedFields: JsonObject[] = []): Manifest => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "web", namespace: "shop", managedFields },
});

describe("ignore rules", () => {
  it("fit an object in every word that they say", () => {
    const rule = (more: object) => [{ paths: ["/x"], ...more }];
    for (const fits of [{}, { kind: "Deployment" }, { group: "apps", namespace: "shop", name: "web" }])
      expect(fixedPaths(rulesFor(web(), rule(fits)))).toEqual(["/x"]);
    for (const fails of [{ kind: "Job" }, { group: "" }, { namespace: "x" }, { name: "other" }])
      expect(rulesFor(web(), rule(fails))).toEqual([]);
  });

  it("that depend on how the object is are no fixed paths", () => {
    expect(fixedPaths([{ paths: ["/a"] }, { paths: ["/b"], managers: ["x"] }, { paths: ["/c"], when: "true" }])).toEqual(["/a"]);
  });

  it("by manager cover what any of them owns, below any of the paths; of what it owns as a whole no part", () => {
    const entry = (manager: string, fieldsV1: JsonObject, more: JsonObject = {}) => ({ manager, operation: "Update", fieldsV1, ...more });
    const containers = {
      "f:containers": { 'k:{"name":"a"}': { "f:image": {}, "f:resources": {} }, 'k:{"name":"b"}': { "f:resources": {} } },
    };
    const object = web([
      entry("vpa", { "f:spec": containers }),
      entry("hpa", { "f:spec": { "f:replicas": {} } }, { subresource: "scale" }),
      entry("editor", { "f:spec": { "f:replicas": {}, "f:paused": {} } }),
      entry("atomic", { "f:spec": { "f:selector": {} } }),
    ]);
    const by = (managers: string[], ...paths: string[]) => managedBy({ managers, paths }, object);
    expect(by(["vpa", "hpa"], "/spec/replicas", "/spec/containers/*/resources")).toEqual({
      "f:spec": {
        "f:replicas": {},
        "f:containers": { 'k:{"name":"a"}': { "f:resources": {} }, 'k:{"name":"b"}': { "f:resources": {} } },
      },
    });
    expect(by(["hpa"])).toEqual({ "f:spec": { "f:replicas": {} } });
    expect(by(["atomic"], "/spec/selector/app")).toEqual({});
    expect(by(["nobody"])).toEqual({});
  });
});
