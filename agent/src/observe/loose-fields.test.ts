import type { DriftIgnore, JsonObject, Manifest } from "@muster/shared/model";
import { describe, expect, it } from "vitest";
import { leafHashes, looseDrift, splitFields } from "./loose-fields.ts";

const OURS = { "f:spec": { "f:replicas": {}, "f:paused": {}, "f:template": { "f:image": {} } } };
const REPLICAS = { "f:spec": { "f:replicas": {} } };
const HPA: DriftIgnore = { paths: ["/spec/replicas"], managers: ["hpa"] };
const web = (spec: JsonObject, ...owners: [manager: string, fields: JsonObject][]): Manifest => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "web", managedFields: owners.map(([manager, fieldsV1]) => ({ manager, operation: "Update", fieldsV1 })) },
  spec,
});
const spec = (replicas: number, image = "a") => ({ replicas, paused: false, template: { image } });
const applied = web(spec(2));
const never = () => {
  throw new Error("no rule can fail here");
};

describe("fields that depend on how an object is", () => {
  it("are only those below the rules' paths: of the others one hash is enough", () => {
    const { fixed, loose } = splitFields(OURS, [HPA, { paths: ["/spec/paused"] }], applied, undefined);
    expect(loose?.fields).toEqual(REPLICAS);
    expect(loose?.hashes).toHaveLength(1);
    expect(fixed).toEqual({ "f:spec": { "f:paused": {}, "f:template": { "f:image": {} } } });
    expect(splitFields(OURS, [{ paths: ["/spec/paused"] }], applied, undefined)).toEqual({ fixed: OURS, loose: undefined });
  });

  it("are all of them where a rule by manager names no path", () => {
    const { fixed, loose } = splitFields(OURS, [HPA, { paths: [], managers: ["x"] }], applied, undefined);
    expect([fixed, loose?.fields]).toEqual([{}, OURS]);
  });

  it("have drifted if they differ, and no rule leaves them to whoever has them now", () => {
    const { loose } = splitFields(OURS, [HPA], applied, undefined);
    expect(looseDrift(loose!, web(spec(2), ["kubectl-edit", REPLICAS]), never)).toEqual({});
    expect(looseDrift(loose!, web(spec(5), ["hpa", REPLICAS]), never)).toEqual({});
    expect(looseDrift(loose!, web(spec(5), ["kubectl-edit", REPLICAS]), never)).toEqual(REPLICAS);
    expect(looseDrift(loose!, web(spec(5)), never)).toEqual(REPLICAS);
  });

  it("that were left to somebody are as Git says again as soon as nobody has them, or have drifted", () => {
    const leftOut = { fields: REPLICAS, hashes: leafHashes(web(spec(2)), REPLICAS) };
    const after = web(spec(5), ["hpa", REPLICAS]);
    const { loose } = splitFields({ "f:spec": { "f:paused": {} } }, [HPA], after, leftOut);
    expect(looseDrift(loose!, after, never)).toEqual({});
    expect(looseDrift(loose!, web(spec(5)), never)).toEqual(REPLICAS);
    expect(looseDrift(loose!, web(spec(2)), never)).toEqual({});
  });
});
