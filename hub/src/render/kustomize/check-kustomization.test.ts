import { describe, expect, it } from "vitest";
import { type FileSpec, snapshotOf } from "../../../../test/fixtures/render/targets.ts";
import { bundleFilesOf } from "../bundle/bundle-files.ts";
import { DocumentReader } from "../documents/document-reader.ts";
import { checkKustomization } from "./check-kustomization.ts";

const check = async (kustomization: string, files: Record<string, FileSpec> = {}) =>
  await checkKustomization(
    bundleFilesOf(snapshotOf({ "app/over/kustomization.yaml": kustomization, ...files }), "app"),
    "over",
    new DocumentReader(),
  );

describe("kustomizations before they are run", () => {
  it("what stands in the bundle is fine: files, bases beside it, components, generators, inline patches", async () => {
    await check(
      `resources: [../base, cm.yaml]
components: [../component]
patches: [{path: p.yaml}, {patch: "[{op: remove, path: /x}]"}]
patchesStrategicMerge: ["apiVersion: v1\\nkind: A\\nmetadata: {name: a}\\n", p.yaml]
configMapGenerator: [{name: a, files: [x=data.txt, data.txt], envs: [data.txt], literals: ["URL=https://example.com"]}]
commonAnnotations: {site: https://example.com}
transformers:
- "apiVersion: builtin\\nkind: PrefixTransformer\\nmetadata: {name: a}\\nprefix: x-\\nfieldSpecs: [{path: /metadata/name}]\\n"
- '{apiVersion: builtin, kind: PatchTransformer, metadata: {name: b}, path: p.yaml}'
- ../plugins
`,
      {
        "app/base/kustomization.yml": "resources: [b.yaml]",
        "app/base/b.yaml": "",
        "app/component/Kustomization": "kind: Component",
        "app/plugins/kustomization.yaml": "kind: Kustomization\nresources: [t.yaml]",
        "app/plugins/t.yaml": "apiVersion: builtin\nkind: SuffixTransformer\nmetadata: {name: a}\nsuffix: -x\n",
        "app/over/cm.yaml": "",
        "app/over/p.yaml": "",
        "app/over/data.txt": "",
      },
    );
  });

  const remote = [
    "resources: [https://example.com/x.yaml]",
    "resources: [http://127.0.0.1:8080/x.yaml]",
    "resources: [github.com/org/repo]",
    "resources: ['github.com/org/repo//path?ref=v1']",
    "resources: ['git@github.com:org/repo.git']",
    "resources: ['ssh://git@host/repo']",
    "resources: ['git::https://host/repo//x']",
    "resources: ['file:///etc/passwd']",
    "resources: ['host.example/repo.git/base?ref=main']",
    "bases: ['https://github.com/org/repo']",
    "components: ['https://github.com/org/repo']",
    "patches: [{path: 'https://example.com/p.yaml'}]",
    "openapi: {path: 'https://example.com/o.json'}",
    "configMapGenerator: [{name: a, files: ['k=https://example.com/x']}]",
    "secretGenerator: [{name: a, envs: ['http://169.254.169.254/latest']}]",
    "crds: ['https://example.com/crd.json']",
    "transformers: ['https://example.com/t.yaml']",
    "replacements: [{path: 'https://example.com/r.yaml'}]",
  ];
  it.each(remote)("%s is on the network", async (kustomization) => {
    await expect(check(kustomization)).rejects.toMatchObject({ code: "RENDER_REMOTE", at: { file: "app/over/kustomization.yaml" } });
  });

  it.each([
    "resources: [../../other/x.yaml]",
    "resources: [/etc/passwd]",
    "bases: [../../..]",
    "patches: [{path: ../../x.yaml}]",
    "configMapGenerator: [{name: a, files: [key=/etc/passwd]}]",
    "configMapGenerator: [{name: a, files: [../../../etc/passwd]}]",
    "secretGenerator: [{name: a, env: /proc/self/environ}]",
    "openapi: {path: ../../x}",
    "generators: [../../x]",
  ])("%s leads out of the bundle", async (kustomization) => {
    await expect(check(kustomization)).rejects.toMatchObject({ code: "BUNDLE_PATH_ESCAPE", at: { file: "app/over/kustomization.yaml" } });
  });

  it("what does not exist is missing, also in a base", async () => {
    await expect(check("resources: [x.yaml]")).rejects.toMatchObject({ code: "BUNDLE_FILE_MISSING" });
    await expect(check("resources: [../base]", { "app/base/x.yaml": "" })).rejects.toMatchObject({
      code: "BUNDLE_FILE_MISSING",
      at: { file: "app/base" },
    });
    await expect(check("resources: [../base]", { "app/base/kustomization.yaml": "resources: [y.yaml]" })).rejects.toMatchObject({
      at: { file: "app/base/kustomization.yaml" },
    });
  });
  it("a base or a generator's configuration is looked at as well", async () => {
    await expect(check("resources: [../base]", { "app/base/kustomization.yaml": remote[0] as string })).rejects.toMatchObject({
      code: "RENDER_REMOTE",
    });
    const generator = "apiVersion: builtin\nkind: ConfigMapGenerator\nfiles: [k=http://127.0.0.1/x]\n";
    await expect(check("generators: [g.yaml]", { "app/over/g.yaml": generator })).rejects.toMatchObject({ code: "RENDER_REMOTE" });
  });
  it.each([
    "Resources: [cm.yaml]",
    "re\u017fources: [cm.yaml]",
    "resources: [cm.yaml]\nPATCHES: []",
    "OpenAPI: {path: x}",
    "patches: [{Path: p.yaml}]",
    "configMapGenerator: [{name: a, Files: [x]}]",
    "secretGenerator: [{name: a, ENV: x}]",
    "replacements: [{PATH: x}]",
    "unknown: 1",
  ])("a field in another spelling than the documentation's is refused: %s", async (kustomization) => {
    await expect(check(kustomization)).rejects.toMatchObject({ code: "RENDER_KUSTOMIZE", at: { file: "app/over/kustomization.yaml" } });
  });

  const plugin = (fields: string) => `apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: a}\n${fields}\n`;
  const listed = (field: string, entry: string) => `${field}:\n- ${JSON.stringify(entry)}\n`;
  it.each([
    "path: http://127.0.0.1/x",
    "Path: HTTP://127.0.0.1/x",
    "path: http://127.0.0.1/x?a=b",
    "paths: [https://example.com/x]",
    "files: [k=https://example.com/x]",
    "env: https://example.com/x",
    "targetFilePath: https://example.com/x",
    "replacements: [{path: https://example.com/x}]",
  ])("the configuration of a plugin may not be on the network, wherever it is written: %s", async (fields) => {
    const remote = { code: "RENDER_REMOTE", at: { file: "app/over/kustomization.yaml" } };
    for (const field of ["generators", "transformers", "validators"]) {
      await expect(check(listed(field, plugin(fields)))).rejects.toMatchObject(remote);
      await expect(check(`${field}: [t.yaml]`, { "app/over/t.yaml": plugin(fields) })).rejects.toMatchObject(remote);
      await expect(
        check(`${field}: [../p]`, { "app/p/kustomization.yaml": "resources: [t.yaml]", "app/p/t.yaml": plugin(fields) }),
      ).rejects.toMatchObject({ code: "RENDER_REMOTE", at: { file: "app/p/kustomization.yaml" } });
    }
  });
  it.each(["path: /etc/passwd", "path: ../../x.yaml", "files: [k=../../../x]", "Env: /proc/self/environ"])(
    "nor may it lead out of the bundle: %s",
    async (fields) => {
      await expect(check(listed("transformers", plugin(fields)))).rejects.toMatchObject({ code: "BUNDLE_PATH_ESCAPE" });
      await expect(check("transformers: [t.yaml]", { "app/over/t.yaml": plugin(fields) })).rejects.toMatchObject({
        code: "BUNDLE_PATH_ESCAPE",
      });
    },
  );
  it("a directory of plugins that changes its configurations is refused: what comes out of it cannot be known", async () => {
    const files = (more: string) => ({
      "app/p/kustomization.yaml": `resources: [t.yaml]\n${more}`,
      "app/p/t.yaml": plugin("path: x.yaml"),
    });
    await check("transformers: [../p]", files("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"));
    const patch = "patches: [{target: {name: a}, patch: '[{op: replace, path: /path, value: http://127.0.0.1/x}]'}]";
    await expect(check("transformers: [../p]", files(patch))).rejects.toMatchObject({
      code: "RENDER_KUSTOMIZE",
      at: { file: "app/p/kustomization.yaml" },
    });
  });

  it.each([
    ["resources", "https://example.com/x.yaml\n", "RENDER_REMOTE"],
    ["resources", "../../../x.yaml\n", "BUNDLE_PATH_ESCAPE"],
    ["resources", "{https://example.com/x", "BUNDLE_FILE_MISSING"],
    ["resources", plugin("x: 1"), "BUNDLE_FILE_MISSING"],
    ["components", "github.com/org/repo\n", "RENDER_REMOTE"],
    ["crds", "https://example.com/x.json\n", "RENDER_REMOTE"],
    ["configurations", "../../x\n", "BUNDLE_PATH_ESCAPE"],
    ["transformers", "https://example.com/t.yaml\n", "RENDER_REMOTE"],
    ["transformers", "https://example.com/t: y", "RENDER_REMOTE"],
    ["transformers", "../../t.yaml\n", "BUNDLE_PATH_ESCAPE"],
    ["transformers", "kind: A\nx: /../../../../evil", "BUNDLE_PATH_ESCAPE"],
    ["transformers", `${plugin("x: 1")}---\n${plugin("x: /../../../../../../evil")}`, "BUNDLE_PATH_ESCAPE"],
    ["patchesStrategicMerge", "https://example.com/p.yaml\n", "RENDER_REMOTE"],
    ["patchesStrategicMerge", "../../p.yaml\n", "BUNDLE_PATH_ESCAPE"],
  ])("an entry of %s is text only if it is a resource, and only where kustomize takes one: %j", async (field, entry, code) => {
    await expect(check(listed(field, entry))).rejects.toMatchObject({ code });
  });
  it("a file of the bundle whose name is a URL is no way around", async () => {
    await expect(check("resources: ['https:/example.com/x']", { "app/over/https:/example.com/x": "" })).rejects.toMatchObject({
      code: "RENDER_REMOTE",
    });
  });
  it("kustomizations that refer to each other end", async () => {
    await check("resources: [../base]", { "app/base/kustomization.yaml": "resources: [../over]" });
  });
});
