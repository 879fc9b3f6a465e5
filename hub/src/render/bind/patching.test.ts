import type { JsonObject, JsonValue } from "@muster/shared/model";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyJsonPatch, JsonPatchError } from "./json-patch.ts";
import { mergePatch } from "./merge-patch.ts";

describe("merge patch, the examples of RFC 7386", () => {
  it.each<[JsonValue, JsonValue, JsonValue]>([
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [
      ["a", "b"],
      ["c", "d"],
      ["c", "d"],
    ],
    [{ a: "b" }, ["c"], ["c"]],
    [{ a: "foo" }, null, null],
    [{ a: "foo" }, "bar", "bar"],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])("%j with %j gives %j", (target, patch, expected) => {
    expect(mergePatch(target, patch)).toEqual(expected);
  });
  it("changes neither argument, and keeps __proto__ as data", () => {
    const target = JSON.parse('{"a":{"b":1}}') as JsonObject;
    const patch = JSON.parse('{"a":{"__proto__":{"x":1}}}') as JsonObject;
    const result = mergePatch(target, patch) as { a: object };
    expect(Object.hasOwn(result.a, "__proto__")).toBe(true);
    expect(target).toEqual({ a: { b: 1 } });
  });
  it("applied twice gives the same as once", () => {
    const json = fc.jsonValue() as fc.Arbitrary<JsonValue>;
    fc.assert(
      fc.property(json, json, (target, patch) => {
        expect(mergePatch(mergePatch(target, patch), patch)).toEqual(mergePatch(target, patch));
      }),
    );
  });
});

describe("JSON patch", () => {
  const object = (): JsonObject => ({ metadata: { name: "web", labels: { "a/b": "1" } }, spec: { list: [1, 2, 3], text: "x" } });
  it("applies its operations in order to a copy", () => {
    const before = object();
    const after = applyJsonPatch(before, [
      { op: "add", path: "/spec/list/-", value: 4 },
      { op: "remove", path: "/spec/list/0" },
      { op: "replace", path: "/metadata/labels/a~1b", value: "2" },
      { op: "copy", from: "/spec/text", path: "/spec/copy" },
      { op: "move", from: "/spec/text", path: "/spec/moved" },
      { op: "test", path: "/spec/moved", value: "x" },
    ]);
    expect(after).toEqual({ metadata: { name: "web", labels: { "a/b": "2" } }, spec: { list: [2, 3, 4], copy: "x", moved: "x" } });
    expect(before).toEqual(object());
  });
  it.each([null, "text", 1, [], undefined])("an operation that is %j is refused with its number, not a bug", (operation) => {
    const patch = [{ op: "remove", path: "/spec/list/0" }, operation] as JsonObject[];
    expect(() => applyJsonPatch(object(), patch)).toThrow(new JsonPatchError("operation 2 is no map with op and path"));
  });
  it.each<[string, JsonObject]>([
    ["a path that is not there", { op: "replace", path: "/spec/nothing", value: 1 }],
    ["a removal of what is not there", { op: "remove", path: "/spec/nothing" }],
    ["a parent that is not there", { op: "add", path: "/status/a", value: 1 }],
    ["an index beyond the list", { op: "add", path: "/spec/list/9", value: 1 }],
    ["a word as index", { op: "replace", path: "/spec/list/x", value: 1 }],
    ["a replacement at the end of a list", { op: "replace", path: "/spec/list/-", value: 1 }],
    ["a removal at the end of a list", { op: "remove", path: "/spec/list/-" }],
    ["a path into a text", { op: "replace", path: "/spec/text/length", value: 1 }],
    ["a test of another value", { op: "test", path: "/spec/text", value: "y" }],
    ["an unknown operation", { op: "merge", path: "/spec", value: 1 }],
    ["no value", { op: "add", path: "/spec/x" }],
    ["no from", { op: "move", path: "/spec/x" }],
    ["a path without slash", { op: "remove", path: "spec" }],
    ["the whole object", { op: "replace", path: "", value: {} }],
    ["a prototype", { op: "add", path: "/spec/__proto__/polluted", value: 1 }],
    ["a constructor", { op: "add", path: "/constructor/prototype/polluted", value: 1 }],
  ])("%s is refused", (_, operation) => {
    expect(() => applyJsonPatch(object(), [operation])).toThrow(JsonPatchError);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });
});
