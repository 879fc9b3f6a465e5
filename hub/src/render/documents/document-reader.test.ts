import type { CodedError } from "@muster/shared/errors";
import { describe, expect, it } from "vitest";
import type { YamlLimits } from "../../yaml/yaml-limits.ts";
import { DocumentReader } from "./document-reader.ts";

const at = { file: "app/x.yaml" };

async function read(text: string | Uint8Array, reader = new DocumentReader()) {
  return await reader.read(typeof text === "string" ? Buffer.from(text) : text, at);
}

async function failure(text: string | Uint8Array, limits: Partial<YamlLimits> = {}): Promise<CodedError> {
  return await read(text, new DocumentReader(1_000_000, limits)).then(
    () => {
      throw new Error("no error");
    },
    (error: CodedError) => error,
  );
}

describe("reading documents", () => {
  it("gives each document with its line, and none for empty ones", async () => {
    const documents = await read("# nothing\n---\na: 1\n---\n\n# c\nb: 2\n---\n---\n");
    expect(documents.map(({ value, line }) => [value, line])).toEqual([
      [{ a: 1 }, 3],
      [{ b: 2 }, 7],
    ]);
  });

  it("an empty file has no document", async () => {
    for (const text of ["", "\n", "# comment\n", "---\n"]) expect(await read(text)).toEqual([]);
  });

  it("a syntax error names file, line and column in the whole file", async () => {
    const error = await failure("a: 1\n---\nb: [\nc: }\n");
    expect([error.code, error.at]).toEqual(["YAML_SYNTAX", { file: "app/x.yaml", line: 4, column: 4 }]);
  });

  it("a bracket that is never closed is shown where it begins to look wrong, not at the end", async () => {
    expect((await failure("a: [1,\nb,\nc\n")).at).toMatchObject({ line: 2, column: 1 });
    expect((await failure("a: 1\nb: [\n\n\n")).at).toMatchObject({ line: 2, column: 4 });
  });

  it("positions stay right in lines that were continued without indentation", async () => {
    const error = await failure("a: [\n1,\n{b: 1, b: 2}\n]\n");
    expect([error.message, error.at?.line, error.at?.column]).toEqual(['Key "b" is set twice', 3, 8]);
  });

  it("a key that is set twice is an error at the second one", async () => {
    const error = await failure("a: 1\nb:\n  c: 1\n  c: 2\n");
    expect([error.code, error.message, error.at?.line]).toEqual(["YAML_SYNTAX", 'Key "c" is set twice', 4]);
  });

  it("__proto__ and constructor are ordinary keys", async () => {
    const [document] = await read("__proto__: {polluted: true}\nconstructor: 1\n");
    expect(Object.keys(document?.value as object)).toEqual(["__proto__", "constructor"]);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  it("merged keys named __proto__ stay data", async () => {
    const [document] = await read("a: &a {__proto__: {x: 1}}\nb: {<<: *a}\n");
    const { b } = (document ?? { value: {} }).value as { b: object };
    expect(Object.hasOwn(b, "__proto__")).toBe(true);
  });

  it("equal documents are one object, so that what is derived from them can be cached", async () => {
    const reader = new DocumentReader();
    const [first, second] = await read("---\na: {b: 1}\n---\nc: 1\n", reader);
    const [again] = await read("---\nx: 1\n---\na: {b: 1}\n", reader).then((documents) => documents.slice(1));
    expect(again?.value).not.toBe(second?.value);
    expect((await read("---\na: {b: 1}\n---\nz: 1\n", reader))[0]?.value).toBe(first?.value);
  });

  it("a flow collection may be continued without indentation, as Go allows", async () => {
    const [document] = await read('args: [\n"a",\n  "b"\n]\nenv: {\nA: "x\n y"\n}\n');
    expect(document?.value).toEqual({ args: ["a", "b"], env: { A: "x y" } });
  });

  it("text that is not UTF-8 is refused", async () => {
    expect((await failure(Uint8Array.of(0x61, 0xff, 0xfe))).code).toBe("YAML_SYNTAX");
  });

  it("characters that end a line for some readers only are refused", async () => {
    expect((await failure("a: x\u2028y\n")).message).toContain("U+2028");
  });
});

describe("limits", () => {
  const bomb = [
    "a: &a [1,1,1,1,1,1,1,1,1]",
    ..."bcdefghi".split("").map((name, index) => `${name}: &${name} [${Array(9).fill(`*${"abcdefgh"[index]}`).join(",")}]`),
  ].join("\n");

  it("a file of 300 bytes cannot expand to a billion values", async () => {
    expect((await failure(bomb)).code).toBe("YAML_LIMIT");
  });
  it("a merge bomb neither", async () => {
    const merges = [
      "a: &a {a1: 1, a2: 1, a3: 1}",
      ...Array.from({ length: 400 }, (_, index) => `k${index}: {<<: [${Array(90).fill("*a").join(",")}]}`),
    ].join("\n");
    expect((await failure(merges)).code).toBe("YAML_LIMIT");
  });
  it("nor many small bombs in one file", async () => {
    const document = `a: &a [${Array(100).fill(1).join(",")}]\nb: [${Array(100).fill("*a").join(",")}]\n`;
    const many = Array.from({ length: 20 }, (_, index) => `---\nn: ${index}\n${document}`).join("");
    expect((await failure(many, { maxFileAliasNodes: 100_000 })).code).toBe("YAML_LIMIT");
  });
  it("an anchor cannot contain itself", async () => {
    expect((await failure("a: &a {b: *a}")).code).toBe("YAML_SYNTAX");
  });
  it("bytes, depth and nodes are bounded", async () => {
    expect((await failure("a: 1\n".padEnd(200, "#"), { maxBytes: 100 })).code).toBe("YAML_LIMIT");
    expect((await failure("[".repeat(400))).code).toBe("YAML_LIMIT");
    expect((await failure(Array.from({ length: 150 }, (_, depth) => `${" ".repeat(depth)}a:\n`).join(""), { maxDepth: 100 })).code).toBe(
      "YAML_LIMIT",
    );
    expect((await failure(`[${Array(200).fill(1).join(",")}]`, { maxNodes: 100 })).code).toBe("YAML_LIMIT");
  });
  it("depth counts through aliases", async () => {
    const chain = Array.from({ length: 60 }, (_, index) => `k${index}: &k${index} {x: {y: ${index === 0 ? "1" : `*k${index - 1}`}}}`).join(
      "\n",
    );
    expect((await failure(chain, { maxDepth: 100 })).code).toBe("YAML_LIMIT");
  });
});
