import { describe, expect, it } from "vitest";
import { DocumentReader } from "./document-reader.ts";
import { objectsOf } from "./objects-of.ts";

const at = { file: "app/x.yaml", line: 1 };

async function objects(text: string) {
  const documents = await new DocumentReader().read(Buffer.from(text), at);
  return documents.flatMap((document) => [...objectsOf(document, { ...at, line: document.line })]);
}

describe("objects of a document", () => {
  it("E054: a List is flattened, also nested and typed ones", async () => {
    const text = `kind: List
items:
- {kind: ConfigMap, metadata: {name: a}}
- {kind: List, items: [{kind: ConfigMap, metadata: {name: b}}]}
---
apiVersion: v1
kind: ConfigMapList
metadata: {resourceVersion: ""}
items: [{metadata: {name: c}}]
`;
    expect(await objects(text)).toEqual([
      { kind: "ConfigMap", metadata: { name: "a" } },
      { kind: "ConfigMap", metadata: { name: "b" } },
      { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "c" } },
    ]);
  });
  it("items of the same list are the same objects when it is read again", async () => {
    const [document] = await new DocumentReader().read(Buffer.from("kind: List\nitems: [{kind: A}]"), at);
    if (!document) throw new Error("no document");
    expect(objectsOf(document, at)[0]).toBe(objectsOf(document, at)[0]);
  });
  it("an object whose kind only ends in List is not flattened", async () => {
    expect(await objects("apiVersion: x/v1\nkind: AllowList\nmetadata: {name: a}\nitems: [1]")).toHaveLength(1);
  });
  it("Muster's own documents are not deployed", async () => {
    expect(await objects("apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: {name: a}")).toEqual([]);
  });
  it("what is no map is refused", async () => {
    for (const text of ["[1]", "text", "12"]) await expect(objects(text)).rejects.toMatchObject({ code: "OBJECT_INVALID" });
  });
  it("an integer that would change on its way is refused at its line, except in the schema of a CRD", async () => {
    await expect(objects("kind: A\nspec:\n  n: 9007199254740993\n")).rejects.toMatchObject({ code: "OBJECT_INVALID", at: { line: 3 } });
    expect(await objects("kind: CustomResourceDefinition\nspec: {maximum: 9223372036854775807}")).toHaveLength(1);
  });
});
