import { readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { configMap, type FileSpec, layerOf, NO_CAPABILITIES, snapshotOf, targetOf } from "../../../../test/fixtures/render/targets.ts";
import { resolveBinary } from "../../../../test/rig/binaries.ts";
import { createTempFolder } from "../../../../test/rig/temp-folder.ts";
import { createRenderer } from "../create-renderer.ts";
import type { Renderer } from "../renderer.ts";

const folder = createTempFolder("render-kustomize");
let renderer: Renderer;
beforeAll(async () => {
  renderer = createRenderer({ kustomize: await resolveBinary("kustomize"), temporaryFolder: folder.path });
});
afterAll(() => folder.remove());

const render = (files: Record<string, FileSpec>, target = targetOf()) => renderer.render(target, snapshotOf(files), NO_CAPABILITIES);

const FILES = {
  "app/bundle.yaml": "x",
  "app/base/kustomization.yaml": "resources: [cm.yaml]\nconfigMapGenerator: [{name: gen, literals: [a=b]}]\n",
  "app/base/cm.yaml": configMap("cm", { v: "${V:=none}" }),
  "app/over/one/kustomization.yaml": "resources: [../../base]\nnamePrefix: one-\nnamespace: ns-one\npatches: [{path: p.yaml}]\n",
  "app/over/one/p.yaml": configMap("cm", { patched: "yes" }),
  "app/over/two/kustomization.yaml": "resources: [../../base]\nnamePrefix: two-\n",
};

describe("kustomizations, with the real kustomize", () => {
  it("builds what the bundle names; the last matching layer's path wins", async () => {
    const bundle = { kustomize: { path: "over/one" } };
    const first = await render(FILES, targetOf(bundle));
    expect(first.manifests.map(({ metadata }) => [metadata.name.replace(/-[a-z0-9]{10}$/, ""), metadata["namespace"]])).toEqual([
      ["one-cm", "ns-one"],
      ["one-gen", "ns-one"],
    ]);
    expect(first.manifests[0]?.["data"]).toEqual({ v: "none", patched: "yes" });
    expect(first.origins[0]).toBe("app/over/one/kustomization.yaml");
    const second = await render(
      FILES,
      targetOf(bundle, {
        layers: [layerOf({ kustomize: { path: "base" } }), layerOf({ kustomize: { path: "./over/two" } })],
        variables: { V: "x" },
      }),
    );
    expect(second.manifests[0]).toMatchObject({ metadata: { name: "two-cm", namespace: "default" }, data: { v: "x" } });
  });
  it("is chosen by the files where nothing is said", async () => {
    const { manifests } = await render({
      "app/kustomization.yaml": "resources: [a.yaml]\nnameSuffix: -x\n",
      "app/a.yaml": configMap("a"),
      "app/b.yaml": configMap("b"),
    });
    expect(manifests.map(({ metadata }) => metadata.name)).toEqual(["a-x"]);
  });
  it("E057: what one build sets does not reach the next", async () => {
    const schema = {
      "app/kustomization.yaml": "resources: [a.yaml]\nopenapi: {path: schema.json}\n",
      "app/schema.json": '{"definitions":{}}',
      "app/a.yaml": configMap("a"),
    };
    const alone = await render({ "app/kustomization.yaml": "resources: [a.yaml]\ncommonLabels: {x: z}\n", "app/a.yaml": configMap("a") });
    const results = await Promise.all([
      render(schema),
      render({ "app/kustomization.yaml": "resources: [a.yaml]\ncommonLabels: {x: z}\n", "app/a.yaml": configMap("a"), "app/README": "" }),
    ]);
    expect(results[1]?.manifests).toEqual(alone.manifests);
  });
  it("an error of kustomize is shown at the kustomization, without the private folder", async () => {
    const failing = render({ "app/kustomization.yaml": "resources: [a.yaml]\nunknownField: 1\n", "app/a.yaml": configMap("a") });
    await expect(failing).rejects.toMatchObject({
      code: "RENDER_KUSTOMIZE",
      at: { file: "app/kustomization.yaml" },
      message: expect.stringContaining("unknownField"),
    });
    await expect(failing).rejects.not.toMatchObject({ message: expect.stringContaining(folder.path) });
  });
  it("charts, plugins and executables inside of a kustomization are refused", async () => {
    const files = (kustomization: string) => ({
      "app/kustomization.yaml": kustomization,
      "app/a.yaml": configMap("a"),
      "app/t.yaml":
        "apiVersion: x/v1\nkind: Exec\nmetadata: {name: t, annotations: {config.kubernetes.io/function: 'exec: {path: /bin/sh}'}}\n",
    });
    await expect(render(files("resources: [a.yaml]\nhelmCharts: [{name: x, repo: 'https://example.com'}]\n"))).rejects.toMatchObject({
      code: "RENDER_KUSTOMIZE",
    });
    await expect(render(files("resources: [a.yaml]\ntransformers: [t.yaml]\n"))).rejects.toMatchObject({ code: "RENDER_KUSTOMIZE" });
  });
  it("an alias bomb does no harm", async () => {
    const bomb = [
      "a: &a [1,1,1,1,1,1,1,1,1]",
      ..."bcdefghij".split("").map((name, index) => `${name}: &${name} [${Array(9).fill(`*${"abcdefghi"[index]}`).join(",")}]`),
    ].join("\n");
    const start = performance.now();
    const building = render({
      "app/kustomization.yaml": "resources: [a.yaml]\n",
      "app/a.yaml": `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n${bomb}\n`,
    });
    await expect(building).rejects.toMatchObject({ code: "YAML_LIMIT", at: { file: "app/a.yaml" } });
    expect(performance.now() - start).toBeLessThan(1_000);
  });
  it("no private folder is left behind", () => {
    expect(readdirSync(folder.path)).toEqual([]);
  });
});
