import { describe, expect, it } from "vitest";
import { type FileSpec, snapshotOf } from "../../../../test/fixtures/render/targets.ts";
import { bundleFilesOf } from "../bundle/bundle-files.ts";
import { callKey, readInputs, type ToolCall } from "./tool-call.ts";

const FILES: Record<string, FileSpec> = { "app/c/Chart.yaml": "chart", "app/eu.yaml": "eu", "app/us.yaml": "us" };
const CALL: ToolCall = {
  args: ["template", "web", "./input/c"],
  tree: "c",
  extra: [
    { name: "values/0.yaml", path: "eu.yaml" },
    { name: "values/1.yaml", text: "{}" },
  ],
};

function keyOf(call: Partial<ToolCall> = {}, files = FILES, tool = { name: "helm", version: "v4" }) {
  return callKey(tool.name, tool.version, { ...CALL, ...call }, bundleFilesOf(snapshotOf(files), "app"));
}

describe("a call of a tool", () => {
  it("has another key with any other argument, file, name of a file, tool or version", () => {
    const keys = [
      keyOf(),
      keyOf({ args: ["template", "other", "./input/c"] }),
      keyOf({ args: ["template", "web", "./input/c", "--x"] }),
      keyOf({ args: ["template web", "./input/c"] }),
      keyOf({ extra: [{ name: "values/0.yaml", path: "us.yaml" }] }),
      keyOf({ extra: [{ name: "values/0.yaml", text: "eu" }] }),
      keyOf({ extra: [{ name: "values/9.yaml", path: "eu.yaml" }] }),
      keyOf({ extra: [...CALL.extra].reverse() }),
      keyOf({ tree: "" }),
      keyOf({}, { ...FILES, "app/c/Chart.yaml": "changed" }),
      keyOf({}, { ...FILES, "app/c/new.yaml": "" }),
      keyOf({}, { ...FILES, "app/eu.yaml": "changed" }),
      keyOf({}, FILES, { name: "kustomize", version: "v4" }),
      keyOf({}, FILES, { name: "helm", version: "v5" }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });
  it("has the same key again, and with other files that it does not get", () => {
    expect(keyOf({}, { ...FILES, "app/README.md": "new", "other/x": "" })).toBe(keyOf());
  });
  it("gives the tool what its key was made from, and nothing else", async () => {
    const inputs = await readInputs(CALL, bundleFilesOf(snapshotOf(FILES), "app"));
    expect([...inputs].map(([name, content]) => [name, Buffer.from(content).toString()])).toEqual([
      ["input/c/Chart.yaml", "chart"],
      ["values/0.yaml", "eu"],
      ["values/1.yaml", "{}"],
    ]);
  });
});
