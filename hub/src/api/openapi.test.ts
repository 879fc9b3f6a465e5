import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createSampleApi, type SampleApi } from "./testing/sample-api.ts";

interface Operation {
  readonly operationId?: string;
  readonly summary?: string;
  readonly responses?: Record<string, { content?: Record<string, { schema: object }> }>;
}

interface Description {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, object> };
}

let api: SampleApi;
let description: Description;
beforeAll(async () => {
  api = await createSampleApi();
  description = (await api.get("/openapi.json")).body as unknown as Description;
});
afterAll(() => api.app.close());

const operations = () =>
  Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );

describe("the API's description", () => {
  it("is OpenAPI 3.1, and names every operation once", () => {
    expect(description.openapi).toBe("3.1.0");
    const ids = operations().map(({ operation }) => operation.operationId);
    expect(ids.every((id) => /^[a-z][A-Za-z]+$/.test(id ?? ""))).toBe(true);
    expect(new Set(ids).size).toBe(ids.length);
    expect(operations().every(({ operation }) => operation.summary)).toBe(true);
  });

  it("refers to nothing that it does not have", () => {
    const refs = [...JSON.stringify(description).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map(([, name]) => name ?? "");
    expect(refs.length).toBeGreaterThan(10);
    expect(refs.filter((name) => !description.components.schemas[name])).toEqual([]);
  });

  it.each([
    ["/api/v1/fleet", "/api/v1/fleet"],
    ["/api/v1/clusters", "/api/v1/clusters"],
    ["/api/v1/clusters/{name}", "/api/v1/clusters/one"],
    ["/api/v1/bundles", "/api/v1/bundles"],
    ["/api/v1/bundles/{name}", "/api/v1/bundles/web"],
    ["/api/v1/targets", "/api/v1/targets"],
    ["/api/v1/targets/{bundle}/{cluster}", "/api/v1/targets/web/one"],
    ["/api/v1/targets/{bundle}/{cluster}/objects", "/api/v1/targets/web/one/objects"],
    ["/api/v1/drift", "/api/v1/drift"],
    ["/api/v1/revisions", "/api/v1/revisions"],
    ["/api/v1/events", "/api/v1/events"],
  ])("describes what %s answers", async (path, url) => {
    const schema = description.paths[path]?.["get"]?.responses?.["200"]?.content?.["application/json"]?.schema;
    const validate = new Ajv2020({ strict: false, validateFormats: false }).compile({ ...schema, components: description.components });
    const { status, body } = await api.get(url);
    expect(status).toBe(200);
    expect([validate(body), validate.errors]).toEqual([true, null]);
  });
});
