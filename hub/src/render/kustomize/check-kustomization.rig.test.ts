import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { configMap, snapshotOf } from "../../../../test/fixtures/render/targets.ts";
import { resolveBinary } from "../../../../test/rig/binaries.ts";
import { createTempFolder } from "../../../../test/rig/temp-folder.ts";
import { bundleFilesOf } from "../bundle/bundle-files.ts";
import { DocumentReader } from "../documents/document-reader.ts";
import { checkKustomization } from "./check-kustomization.ts";

const folder = createTempFolder("check-kustomization");
const asked: string[] = [];
const server = createServer((request, response) => {
  asked.push(request.url ?? "");
  response.end(configMap("fetched"));
});
let kustomize = "";
let url = "";
beforeAll(async () => {
  kustomize = await resolveBinary("kustomize");
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
});
afterAll(() => {
  server.close();
  folder.remove();
});

let count = 0;

/** What the real kustomize does without our check and without a sandbox: what it asked the server for, and what it wrote. */
async function build(files: Record<string, string>): Promise<{ asked: string[]; output: string; message: string }> {
  const root = join(folder.path, String(count++));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  asked.length = 0;
  return await new Promise((resolve) => {
    const args = ["build", join(root, "app/over")];
    execFile(kustomize, args, { env: { HOME: root, PATH: join(root, "no-git") } }, (_, output, message) =>
      resolve({ asked: [...asked], output, message }),
    );
  });
}

const check = (files: Record<string, string>) => checkKustomization(bundleFilesOf(snapshotOf(files), "app"), "over", new DocumentReader());
const plugin = (fields: string) => `apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: a}\n${fields}\n`;
const entry = (field: string, text: string) => ({ "app/over/kustomization.yaml": `${field}:\n- ${JSON.stringify(text)}\n` });

describe("what the real kustomize would fetch is refused before it runs", () => {
  it.each<[string, () => Record<string, string>]>([
    ["a resource", () => entry("resources", `${url}/x`)],
    ["a field in capitals", () => entry("Resources", `${url}/x`)],
    ["a field with a letter that folds to another", () => entry("re\u017fources", `${url}/x`)],
    ["a key in capitals", () => ({ "app/over/kustomization.yaml": `patches: [{Path: "${url}/x"}]` })],
    ["files in capitals", () => ({ "app/over/kustomization.yaml": `configMapGenerator: [{name: a, FILES: ["k=${url}/x"]}]` })],
    ["a scheme in capitals", () => entry("resources", `${url.replace("http", "HTTP")}/x`)],
    ["an inline transformer", () => entry("transformers", plugin(`path: ${url}/x`))],
    [
      "an inline transformer in one line",
      () => entry("transformers", `{apiVersion: builtin, kind: PatchTransformer, metadata: {name: a}, path: "${url}/x"}`),
    ],
    ["an inline transformer, key in capitals", () => entry("transformers", plugin(`PATH: ${url}/x`))],
    [
      "a transformer's URL with an equals sign",
      () => ({ ...entry("transformers", "t.yaml"), "app/over/t.yaml": plugin(`path: "${url}/x?a=b"`) }),
    ],
    [
      "an inline generator",
      () => entry("generators", `apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: a}\nfiles: ["k=${url}/x"]\n`),
    ],
    ["an inline validator", () => entry("validators", plugin(`path: ${url}/x`))],
    [
      "a target file",
      () => entry("transformers", `apiVersion: builtin\nkind: ValueAddTransformer\nmetadata: {name: a}\ntargetFilePath: ${url}/x\n`),
    ],
    [
      "a directory of transformers",
      () => ({
        ...entry("transformers", "../p"),
        "app/p/kustomization.yaml": "resources: [t.yaml]",
        "app/p/t.yaml": plugin(`path: ${url}/x`),
      }),
    ],
    [
      "a directory of transformers that patches them",
      () => ({
        ...entry("transformers", "../p"),
        "app/p/kustomization.yaml": `resources: [t.yaml]\npatches: [{target: {name: a}, patch: '[{"op": "replace", "path": "/path", "value": "${url}/x"}]'}]`,
        "app/p/t.yaml": plugin("path: x.yaml"),
      }),
    ],
    ["an entry that is a map for YAML", () => entry("transformers", `${url}/x: y`)],
  ])("%s", async (_, filesOf) => {
    const files = filesOf();
    expect((await build(files)).asked).not.toEqual([]);
    await expect(check(files)).rejects.toMatchObject({ code: expect.stringMatching(/^RENDER_(REMOTE|KUSTOMIZE)$/) });
  });
});

describe("what the real kustomize would read outside of the bundle is refused before it runs", () => {
  const outside = { "outside/kustomization.yaml": "resources: [secret.yaml]", "outside/secret.yaml": configMap("canary") };
  it.each<[string, Record<string, string>]>([
    ["a base", entry("resources", "../../outside")],
    ["a base under a field in capitals", entry("RESOURCES", "../../outside")],
    ["a base under a field that is old", entry("Bases", "../../outside")],
    ["a base behind what looks like a map", entry("resources", "kind: x\n/../../../outside")],
  ])("%s", async (_, files) => {
    expect((await build({ ...files, ...outside })).output).toContain("canary");
    await expect(check(files)).rejects.toMatchObject({ code: expect.stringMatching(/^(BUNDLE_PATH_ESCAPE|RENDER_KUSTOMIZE)$/) });
  });
  it("of plugins' paths kustomize keeps watch itself", async () => {
    const { output, message } = await build({ ...entry("transformers", plugin("path: ../../outside/secret.yaml")), ...outside });
    expect([output, message]).toEqual(["", expect.stringContaining("is not in or below")]);
  });
});

describe("what the real kustomize takes is not refused", () => {
  it.each<[string, Record<string, string>]>([
    [
      "inline patches and transformers",
      {
        "app/over/kustomization.yaml": `resources: [cm.yaml]\npatchesStrategicMerge:\n- ${JSON.stringify(configMap("a", { patched: "yes" }))}\ntransformers:\n- ${JSON.stringify("apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: p}\nprefix: x-\nfieldSpecs: [{path: metadata/name}]\n")}\n`,
        "app/over/cm.yaml": configMap("a"),
      },
    ],
    [
      "a directory of transformers",
      {
        "app/over/kustomization.yaml": "resources: [cm.yaml]\ntransformers: [../p]\n",
        "app/over/cm.yaml": configMap("a"),
        "app/p/kustomization.yaml": "resources: [t.yaml]",
        "app/p/t.yaml":
          "apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: p}\nprefix: x-\nfieldSpecs: [{path: metadata/name}]\n",
      },
    ],
  ])("%s", async (_, files) => {
    expect((await build(files)).output).toContain("name: x-a");
    await check(files);
  });
});
