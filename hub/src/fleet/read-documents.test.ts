import { describe, expect, it } from "vitest";
import { buildFleet } from "./build-fleet.ts";
import { readDocuments } from "./read-documents.ts";

const read = (text: string) => readDocuments(Buffer.from(text), "web/bundle.yaml", "fleet");
const HEAD = "apiVersion: muster.dev/v1alpha1\nkind: Bundle\n";
const SPEC = "spec:\n  targets: [{ all: true }]\n";
const heldBy = (text: string) => read(text).problems.map(({ code, kind, name }) => ({ code, ...(kind && { kind, name }) }));

describe("documents of the fleet", () => {
  it("are read as Go reads YAML, so that a value means what it means in a values file", () => {
    const { documents, problems } = read(
      `${HEAD}metadata: { name: web }\n${SPEC}  helm:\n    values:\n      base: &base { a: 1 }\n      flag: off\n      mode: 0644\n      more: { <<: *base, b: 2 }\n`,
    );
    expect(problems).toEqual([]);
    expect(documents).toMatchObject([{ document: { spec: { helm: { values: { flag: false, mode: 420, more: { a: 1, b: 2 } } } } } }]);
  });

  it("an integer that would change on its way is refused where it stands", () => {
    expect(read(`${HEAD}metadata: { name: web }\n${SPEC}  helm: { values: { id: 1234567890123456789 } }\n`).problems).toMatchObject([
      { code: "FLEET_INVALID", at: { line: 6 }, kind: "Bundle", name: "web" },
    ]);
  });

  it("a document with a mistake is held by its name, if all that names it stands whole above the mistake", () => {
    expect(heldBy(`${HEAD}metadata: { name: web }\nspec:\n  targets: [{ all: true }\n  namespace: x\n`)).toEqual([
      { code: "YAML_SYNTAX", kind: "Bundle", name: "web" },
    ]);
    expect(heldBy(`${HEAD}metadata:\n  name: web\n  bad: [\n${SPEC}`)).toEqual([{ code: "YAML_SYNTAX" }]);
  });

  it("a name that is no name, or that may not be the one that is meant, holds back no other document in its place", () => {
    const unnamed = [
      `${HEAD}metadata: { name: My_App }\n${SPEC}`,
      `${HEAD}metadata:\n  name: "podinfo\n${SPEC}`,
      `${HEAD}metadata:\n  name: web\n  name: podinfo\n${SPEC}`,
      `${HEAD}metadata: { name: web }\n${SPEC}metadata: { name: podinfo }\n`,
      `${HEAD}metadata: { name: web }\nspec: [\nmetadata: { name: podinfo }\n`,
      // Two documents in what is read at once: the mistake is in the second one, and the first is not it.
      `${HEAD}metadata: { name: web }\n${SPEC}...\n${HEAD}metadata: { name: podinfo }\nspec: [\n`,
      `%YAML 1.2\n---\n${HEAD}metadata: { name: web }\n${SPEC}---\n${HEAD}metadata: { name: podinfo }\nspec: [\n`,
      `${HEAD}metadata: { name: web }\n${SPEC} ---\n apiVersion: muster.dev/v1alpha1\n kind: Bundle\n metadata: { name: podinfo }\n`,
      `${HEAD}metadata: { name: web }\n${SPEC}"apiVersion": muster.dev/v1alpha1\n"kind": Bundle\n"metadata": { name: podinfo }\n`,
    ];
    for (const text of unnamed) {
      const { problems } = read(text);
      expect([text, problems.length > 0, problems.map(({ name }) => name)]).toEqual([text, true, problems.map(() => undefined)]);
      const commit = { source: "fleet", ref: "main", commit: "c" };
      expect(buildFleet([{ source: "fleet", commit, files: [read(text)] }])).toMatchObject({ complete: false, heldBundles: new Set() });
    }
  });

  it("one broken document of a file leaves the others as they are", () => {
    const { documents, problems } = read(
      `${HEAD}metadata: { name: one }\n${SPEC}---\n${HEAD}metadata: [\n---\n${HEAD}metadata: { name: three }\n${SPEC}`,
    );
    expect(documents.map(({ document }) => document.metadata.name)).toEqual(["one", "three"]);
    expect(problems).toMatchObject([{ code: "YAML_SYNTAX", at: { file: "web/bundle.yaml", line: 9 } }]);
  });

  it("P10: a map of very many keys, and a list of very many items, cost less than a second", () => {
    const started = performance.now();
    const keys = Array.from({ length: 40_000 }, (_, index) => `      k${index}: 1`).join("\n");
    expect(read(`${HEAD}metadata: { name: web }\n${SPEC}  helm:\n    values:\n${keys}\n`).problems).toMatchObject([{ code: "YAML_LIMIT" }]);
    expect(read(`${HEAD}metadata: { name: web }\n${SPEC}  helm: { values: { l: [${"1,".repeat(200_000)}] } }\n`).problems).toMatchObject([
      { code: "YAML_LIMIT" },
    ]);
    expect(performance.now() - started).toBeLessThan(1_000);
  });

  it("what is not UTF-8 is refused, not replaced", () => {
    expect(readDocuments(Buffer.from([0x61, 0xff, 0xfe]), "a.yaml", "fleet").problems).toMatchObject([{ code: "YAML_SYNTAX" }]);
  });
});
