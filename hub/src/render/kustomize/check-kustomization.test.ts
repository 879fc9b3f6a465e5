import { describe, expect, it } from "vitest";
import { type FileSpec, snapshotOf } from "../../../../test/fixtures/render/targets.ts";
import { bundleFilesOf } from "../bundle/bundle-files.ts";
import { DocumentReader } from "../yaml/document-reader.ts";
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
patchesStrategicMerge: ["apiVersion: v1\\nkind: A\\n"]
configMapGenerator: [{name: a, files: [x=data.txt, data.txt], envs: [data.txt], literals: ["URL=https://example.com"]}]
commonAnnotations: {site: https://example.com}
transformers: ["apiVersion: builtin\\nkind: PrefixTransformer\\n"]
`,
      {
        "app/base/kustomization.yml": "resources: [b.yaml]",
        "app/base/b.yaml": "",
        "app/component/Kustomization": "kind: Component",
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
  it("kustomizations that refer to each other end", async () => {
    await check("resources: [../base]", { "app/base/kustomization.yaml": "resources: [../over]" });
  });
});
