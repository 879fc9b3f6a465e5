import type { CodedError } from "@muster/shared/errors";
import { describe, expect, it } from "vitest";
import { DEFAULT_YAML_LIMITS, type YamlLimits } from "../../yaml/yaml-limits.ts";
import { DocumentReader } from "./document-reader.ts";

const at = { file: "app/x.yaml" };
const MEBIBYTE = 1024 * 1024;

async function outcome(text: string, limits: Partial<YamlLimits> = {}): Promise<string> {
  const bytes = Buffer.from(text);
  return await new DocumentReader(1_000_000, limits).read(bytes, at, 64 * MEBIBYTE + 1).then(
    (documents) => `${documents.length} documents`,
    (error: CodedError) => error.code,
  );
}

/** CPU time in milliseconds: what else runs on the machine does not count. */
async function cpuOf(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

describe("a document with too many values", () => {
  const count = DEFAULT_YAML_LIMITS.maxNodes + 1;
  it.each([
    ["a flow list", `[${"1,".repeat(count)}]`],
    ["a list that was never closed", `[${"1,".repeat(count)}`],
    ["empty maps", `[${"{},".repeat(count)}]`],
    ["a set", `{${"a,".repeat(count)}}`],
    ["a block list", "- 1\n".repeat(count)],
    ["a block map", "a: 1\n".repeat(count)],
    ["JSON", `{${'"a":1,'.repeat(count)}}`],
    ["pairs", `[${'"a":1,'.repeat(count)}]`],
    ["lists in one line", `${"- ".repeat(count)}1`],
    ["explicit keys", "? a\n".repeat(count)],
  ])("is refused before it is parsed: %s", async (_, text) => {
    let code = "";
    // Parsing takes 500 ms and more, searching 20.
    expect(await cpuOf(async () => (code = await outcome(text)))).toBeLessThan(250);
    expect(code).toBe("YAML_LIMIT");
  });
  it("is shown at the line where it is too much", async () => {
    const reading = new DocumentReader(1_000, { maxNodes: 100 }).read(Buffer.from(`a: 1\n---\n${"- 1\n".repeat(200)}`), at);
    await expect(reading).rejects.toMatchObject({ code: "YAML_LIMIT", at: { file: "app/x.yaml", line: 102 } });
  });
  it("does not hold up the process with its many ways to be continued", async () => {
    const unindented = `a: [\n${"1,".repeat(DEFAULT_YAML_LIMITS.maxNodes - 10_000)}\n${"1,\n".repeat(5_000)}]\n`;
    expect(await cpuOf(() => outcome(unindented))).toBeLessThan(6_000);
  });
});

describe("what people write is below the limits", () => {
  it("separators in texts count only where there are as many as values are allowed", async () => {
    const json = JSON.stringify({ panels: Array.from({ length: 27_000 }, (_, id) => ({ id, type: "graph", at: [1, 2, 3] })) });
    expect(json.length).toBeGreaterThan(MEBIBYTE);
    expect(await outcome(`kind: ConfigMap\ndata:\n  dashboard: |\n    ${json}\n`)).toBe("1 documents");
    const base64 = Buffer.alloc(MEBIBYTE, 7).toString("base64");
    expect(await outcome(`kind: Secret\ndata:\n  a: ${base64}\n  url: "https://a:1/b-c?d"\n`)).toBe("1 documents");
  });
  it("values are allowed up to the limit, in whatever form", async () => {
    const limits = { maxNodes: 301 };
    expect(await outcome(`[${Array(300).fill("1").join(",")}]`, limits)).toBe("1 documents");
    expect(await outcome(`[${Array(300).fill("{}").join(",")}]`, limits)).toBe("1 documents");
    expect(await outcome(`[${Array(100).fill("{a: 1}").join(",")}]`, limits)).toBe("1 documents");
    expect(await outcome(Array(300).fill("- 1\n").join(""), limits)).toBe("1 documents");
    expect(await outcome(Array.from({ length: 150 }, (_, index) => `k${index}: 1\n`).join(""), limits)).toBe("1 documents");
    expect(await outcome(Array.from({ length: 60 }, (_, index) => `k${index}: {a: {}, b: []}\n`).join(""), { maxNodes: 361 })).toBe(
      "1 documents",
    );
  });
  it("64 MiB of a tool's ordinary output are read, though they have millions of values (here a sixteenth of both)", async () => {
    const object = (index: number) =>
      `---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web-${index}\n  labels: {app: web, tier: front}\nspec:\n  replicas: 2\n  template:\n    spec:\n      containers:\n      - name: web\n        image: example.com/web:1.2.3\n        args: ["--listen", "0.0.0.0:8080"]\n        env:\n        - name: TEXT\n          value: ${"x".repeat(300)}\n`;
    const parts: string[] = [];
    for (let bytes = 0; bytes < 4 * MEBIBYTE; bytes += parts.at(-1)?.length ?? 0) parts.push(object(parts.length));
    expect(await outcome(parts.join(""), { maxFileNodes: DEFAULT_YAML_LIMITS.maxFileNodes / 16 })).toBe(`${parts.length} documents`);
  });
});

describe("a file with many documents", () => {
  it("is refused when they have too many values together, though none of them has", async () => {
    const documents = Array.from({ length: 20 }, (_, index) => `--- # ${index}\n[${"1,".repeat(90)}]\n`).join("");
    expect(await outcome(documents, { maxNodes: 100, maxFileNodes: 2_000 })).toBe("20 documents");
    expect(await outcome(documents, { maxNodes: 100, maxFileNodes: 1_500 })).toBe("YAML_LIMIT");
  });
  it("counts what it knows already too", async () => {
    const reader = new DocumentReader(1_000_000, { maxFileNodes: 1_500 });
    const documents = `--- \n[${"1,".repeat(90)}]\n`.repeat(20);
    for (let round = 0; round < 2; round++)
      await expect(reader.read(Buffer.from(documents), at)).rejects.toMatchObject({ code: "YAML_LIMIT" });
  });
});
