import type { CodedError } from "@muster/shared/errors";
import { describe, expect, it } from "vitest";
import { configMap, dataOf, type FileSpec, layerOf, NO_CAPABILITIES, snapshotOf, targetOf } from "../../../test/fixtures/render/targets.ts";
import type { PatchSpec, Target } from "../fleet/model.ts";
import { createRenderer } from "./create-renderer.ts";
import type { Renderer } from "./renderer.ts";

/** Without tools: everything here is plain YAML. */
const rendererWithoutTools = () => createRenderer({ helm: "/nowhere/helm", kustomize: "/nowhere/kustomize" });

async function render(files: Record<string, FileSpec>, target: Target = targetOf(), renderer: Renderer = rendererWithoutTools()) {
  return await renderer.render(target, snapshotOf(files), NO_CAPABILITIES);
}

async function failure(files: Record<string, FileSpec>, target?: Target): Promise<CodedError> {
  return await render(files, target).then(
    () => {
      throw new Error("no error");
    },
    (error: CodedError) => error,
  );
}

const names = (rendered: { manifests: readonly { metadata: { name: string } }[] }) =>
  rendered.manifests.map(({ metadata }) => metadata.name);

describe("plain bundles", () => {
  it("take all YAML and JSON below the directory, except hidden files, Muster's own and nested bundles", async () => {
    const rendered = await render({
      "app/bundle.yaml": "not: read",
      "app/muster.yaml": "not: read",
      "app/a.yaml": configMap("a"),
      "app/deep/b.yml": configMap("b"),
      "app/c.json": JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "c" } }),
      "app/README.md": "# no",
      "app/.hidden.yaml": configMap("hidden"),
      "app/.github/x.yaml": configMap("workflow"),
      "app/nested/bundle.yaml": "",
      "app/nested/d.yaml": configMap("d"),
      "app/nested/deep/e.yaml": configMap("e"),
      "other/f.yaml": configMap("f"),
    });
    expect(names(rendered)).toEqual(["a", "c", "b"]);
    expect(rendered.origins).toEqual(["app/a.yaml", "app/c.json", "app/deep/b.yml"]);
  });
  it("YAML errors name the file and line", async () => {
    expect(await failure({ "app/a.yaml": configMap("a"), "app/b.yaml": "a: 1\nb: [}\n" })).toMatchObject({
      code: "YAML_SYNTAX",
      at: { file: "app/b.yaml", line: 2, source: "fleet" },
    });
  });
  it("E070: nothing at all is an error, never an empty result", async () => {
    expect(await failure({ "app/bundle.yaml": "", "app/a.yaml": "# nothing\n" })).toMatchObject({ code: "BUNDLE_EMPTY" });
    expect(await failure({ "app/bundle.yaml": "" })).toMatchObject({ code: "BUNDLE_EMPTY" });
  });
  it("E052: the same object twice is an error that names both, an identical copy a remark", async () => {
    const error = await failure({ "app/a.yaml": configMap("a"), "app/b.yaml": configMap("a", { key: "other" }) });
    expect([error.code, error.data]).toEqual(["OBJECT_DUPLICATE", { origins: ["app/a.yaml", "app/b.yaml"] }]);
    const rendered = await render({ "app/a.yaml": configMap("a"), "app/b.yaml": configMap("a") });
    expect([names(rendered), rendered.notices.map(({ type }) => type)]).toEqual([["a"], ["DuplicateDropped"]]);
  });
  it("E052: objects that only become the same by the default namespace are the same", async () => {
    const explicit = configMap("a", { key: "other" }).replace("name: a", "name: a\n  namespace: default");
    expect(await failure({ "app/a.yaml": configMap("a"), "app/b.yaml": explicit })).toMatchObject({ code: "OBJECT_DUPLICATE" });
  });
  it("a symlink in the bundle is refused", async () => {
    expect(await failure({ "app/a.yaml": configMap("a"), "app/x.yaml": { type: "symlink", to: "/etc/passwd" } })).toMatchObject({
      code: "BUNDLE_PATH_ESCAPE",
    });
  });
  it("helm and kustomize in one target are refused", async () => {
    const target = targetOf({ helm: {} }, { layers: [layerOf({ kustomize: { path: "x" } })] });
    expect(await failure({ "app/Chart.yaml": "" }, target)).toMatchObject({ code: "FLEET_INVALID", at: { line: 20 } });
  });
  it("a missing tool has a code of its own and stands at the bundle", async () => {
    expect(await failure({ "app/Chart.yaml": "apiVersion: v2\nname: a\nversion: 1.0.0" })).toMatchObject({
      code: "RENDER_TOOL_MISSING",
      at: { file: "app/bundle.yaml" },
    });
    expect(await failure({ "app/kustomization.yml": "" })).toMatchObject({ code: "RENDER_TOOL_MISSING" });
  });
});

describe("variables of a target", () => {
  const file = { "app/a.yaml": configMap("a", { v: "${V}" }) };
  const value = async (target: Target) => dataOf(await render(file, target))["v"];
  it("bundle, then layers in their order, then the cluster", async () => {
    const bundle = { variables: { V: "bundle" } };
    const layers = [layerOf({ variables: { V: "one" } }), layerOf({ variables: { V: "two" } })];
    expect(await value(targetOf(bundle))).toBe("bundle");
    expect(await value(targetOf(bundle, { layers }))).toBe("two");
    expect(await value(targetOf(bundle, { layers, variables: { V: "cluster" } }))).toBe("cluster");
  });
  it("all that are unset are named, with file and object", async () => {
    const error = await failure({ "app/a.yaml": configMap("a", { v: "${A} ${B}" }), "app/b.yaml": configMap("b", { v: "${C}" }) });
    expect([error.code, error.data]).toEqual(["VARIABLE_UNSET", { variables: ["A", "B", "C"] }]);
    expect(error.message).toContain("C (app/b.yaml:1, ConfigMap b)");
  });
  it("an expression that cannot be read is refused at its object", async () => {
    expect(await failure({ "app/a.yaml": configMap("a", { v: "${V:-x}" }) })).toMatchObject({
      code: "VARIABLE_SYNTAX",
      at: { file: "app/a.yaml", line: 1 },
    });
  });
  const crd = (more = "") =>
    `apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.b${more}}\nspec: {description: '\${V}'}\n`;
  it("E058: are not filled into CRDs, nor into objects that do not want it; into a CRD that does, they are", async () => {
    const left = (where: string) =>
      configMap("a", { v: "${V:-x}" }).replace("name: a", `name: a-${where}\n  ${where}: {muster.dev/substitute: disabled}`);
    const enabled = crd("b, annotations: {muster.dev/substitute: enabled}");
    const files = { "app/a.yaml": left("annotations"), "app/b.yaml": left("labels"), "app/c.yaml": crd(), "app/d.yaml": enabled };
    const rendered = await render(files, targetOf({ variables: { V: "filled" } }));
    expect(rendered.manifests.map((manifest) => manifest["data"] ?? manifest["spec"])).toEqual([
      { v: "${V:-x}" },
      { v: "${V:-x}" },
      { description: "${V}" },
      { description: "filled" },
    ]);
  });
  it.each(["Disabled", "'false'", "''"])(
    "E058: what an object says of it with a slip (%s) is refused, not taken for the other",
    async (said) => {
      const file = configMap("a").replace("name: a", `name: a\n  annotations: {muster.dev/substitute: ${said}}`);
      expect(await failure({ "app/a.yaml": file })).toMatchObject({ code: "OBJECT_INVALID", at: { file: "app/a.yaml", line: 1 } });
    },
  );
});

describe("certificates of a target", () => {
  const service = (caBundle: string) =>
    `apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {name: v1.x.io}\nspec: {group: x.io, version: v1, caBundle: ${caBundle}}\n`;
  it("E038: a caBundle that only keeps a place is left out with a remark; one that is a mistake is refused at its object", async () => {
    const rendered = await render({ "app/a.yaml": service("Cg==") });
    expect(rendered.manifests.map((manifest) => manifest["spec"])).toEqual([{ group: "x.io", version: "v1" }]);
    expect(rendered.notices.map(({ type }) => type)).toEqual(["CaBundleDropped"]);
    const error = await failure({ "app/a.yaml": `# mine\n${service("bm9uZQ==")}` });
    expect([error.code, error.at]).toEqual(["OBJECT_INVALID", { file: "app/a.yaml", line: 2, source: "fleet" }]);
  });
});

describe("patches of a target", () => {
  const files = { "app/a.yaml": configMap("a"), "app/b.yaml": configMap("b") };
  const at = { file: "app/bundle.yaml", line: 9 };
  it("the bundle's come first, then the layers'; variables in them are filled in", async () => {
    const target = targetOf(
      { patches: [{ target: { kind: "ConfigMap", name: "a" }, patch: { data: { key: "bundle", more: "1" } }, at }] },
      {
        layers: [layerOf({ patches: [{ target: { name: "${N}" }, patch: [{ op: "replace", path: "/data/key", value: "${V}" }], at }] })],
        variables: { N: "a", V: "layer" },
      },
    );
    expect((await render(files, target)).manifests.map((manifest) => manifest["data"])).toEqual([
      { key: "layer", more: "1" },
      { key: "value" },
    ]);
  });
  it("see the namespace that an object will have", async () => {
    const target = targetOf({ namespace: "ns", patches: [{ target: { namespace: "ns", name: "b" }, patch: { data: null }, at }] });
    expect((await render(files, target)).manifests[1]).not.toHaveProperty("data");
  });
  it("one that matches nothing, does not apply or changes the kind is refused at its own place", async () => {
    const failing = async (patch: Partial<PatchSpec>) =>
      await failure(files, targetOf({ patches: [{ target: {}, patch: [], at, ...patch }] }));
    expect(await failing({ target: { name: "c" }, patch: {} })).toMatchObject({ code: "PATCH_INVALID", at });
    expect(await failing({ patch: [{ op: "remove", path: "/data/none" }] })).toMatchObject({ code: "PATCH_INVALID", at });
    expect(await failing({ patch: { kind: "Secret" } })).toMatchObject({ code: "PATCH_INVALID", at });
    expect(await failing({ patch: { metadata: { name: null } } })).toMatchObject({ code: "OBJECT_INVALID", at });
  });
  it("a numeric variable stays text where a ConfigMap has only text, in a merge patch as in a JSON patch", async () => {
    const patches: PatchSpec["patch"][] = [{ data: { P: "${PORT}" } }, [{ op: "add", path: "/data/P", value: "${PORT}" }]];
    for (const patch of patches) {
      for (const target of [{ kind: "ConfigMap", name: "a" }, { name: "a" }]) {
        const rendered = await render(files, targetOf({ patches: [{ target, patch, at }] }, { variables: { PORT: 8080 } }));
        expect(dataOf(rendered)).toMatchObject({ P: "8080" });
      }
    }
  });
  it("it stays a number in data of another kind, though one patch matches both", async () => {
    const thing = "apiVersion: x.io/v1\nkind: Thing\nmetadata: {name: a}\ndata: {P: 1}\n";
    const patches = [{ target: { name: "a" }, patch: { data: { P: "${PORT}" } }, at }];
    const rendered = await render(
      { "app/a.yaml": configMap("a"), "app/t.yaml": thing },
      targetOf({ patches }, { variables: { PORT: 8080 } }),
    );
    expect(rendered.manifests.map((manifest) => manifest["data"])).toEqual([{ key: "value", P: "8080" }, { P: 8080 }]);
  });
  it("entries that are no operations, and a patch that is nothing, are refused at the patch", async () => {
    for (const patch of [[null], ["remove"], [[]], null, "text"] as unknown as PatchSpec["patch"][]) {
      const error = await failure(files, targetOf({ patches: [{ target: { name: "a" }, patch, at }] }));
      expect([error.code, error.at]).toEqual(["PATCH_INVALID", at]);
    }
  });
  it("an unset variable in a patch is reported at the patch", async () => {
    expect(await failure(files, targetOf({ patches: [{ target: {}, patch: { data: { a: "${U}" } }, at }] }))).toMatchObject({
      code: "VARIABLE_UNSET",
      at,
    });
  });
});

describe("namespaces", () => {
  const namespaceOf = async (target: Target) =>
    (await render({ "app/a.yaml": configMap("a") }, target)).manifests[0]?.metadata["namespace"];
  it("the last layer's, else the bundle's, else default", async () => {
    expect(await namespaceOf(targetOf())).toBe("default");
    expect(await namespaceOf(targetOf({ namespace: "bundle" }))).toBe("bundle");
    expect(
      await namespaceOf(
        targetOf({ namespace: "bundle" }, { layers: [layerOf({ namespace: "one" }), layerOf({ namespace: "two" }), layerOf({})] }),
      ),
    ).toBe("two");
  });
  it("a kind whose scope nobody knows is taken as namespaced, with a remark", async () => {
    const rendered = await render({ "app/a.yaml": "apiVersion: x.io/v1\nkind: Widget\nmetadata: {name: a}\n" });
    expect([rendered.manifests[0]?.metadata["namespace"], rendered.notices.map(({ type }) => type)]).toEqual(["default", ["ScopeUnknown"]]);
  });
});

describe("caching", () => {
  const many = (count: number, changed: Record<number, string> = {}) =>
    Object.fromEntries(
      Array.from({ length: count }, (_, index) => [
        `app/f${index}.yaml`,
        configMap(`cm-${index}`, { v: changed[index] ?? "x", c: "${C:=none}" }),
      ]),
    );

  it("equal inputs give the same object, also for another cluster and another commit", async () => {
    const renderer = rendererWithoutTools();
    const first = await render(many(3), targetOf(), renderer);
    expect(await render(many(3), targetOf({}, { cluster: "other", variables: { UNUSED: 1 } }), renderer)).toBe(first);
    expect(await render({ ...many(3), "app/README.md": "new" }, targetOf(), renderer)).toBe(first);
  });
  it("a variable that is used makes a difference, in value and in type", async () => {
    const renderer = rendererWithoutTools();
    const results = [];
    for (const variables of [{}, { C: "1" }, { C: 1 }, { C: "2" }])
      results.push(await render(many(1), targetOf({}, { variables }), renderer));
    expect(new Set(results).size).toBe(4);
  });
  it("of 1,000 files with one changed, one is read and one object is made", async () => {
    const renderer = rendererWithoutTools();
    const before = await render(many(1_000), targetOf(), renderer);
    const snapshot = snapshotOf(many(1_000, { 500: "changed" }));
    const after = await renderer.render(targetOf(), snapshot, NO_CAPABILITIES);
    expect(snapshot.reads).toEqual(["app/f500.yaml"]);
    const old = new Set(before.manifests);
    expect(after.manifests.filter((manifest) => !old.has(manifest)).map(({ metadata }) => metadata.name)).toEqual(["cm-500"]);
  });
  it("of one file with 1,000 documents and one changed, one object is made", async () => {
    const renderer = rendererWithoutTools();
    const text = (changed: string) =>
      Array.from({ length: 1_000 }, (_, index) => configMap(`cm-${index}`, { v: index === 500 ? changed : "x" })).join("---\n");
    const before = await render({ "app/all.yaml": text("a") }, targetOf(), renderer);
    const after = await render({ "app/all.yaml": text("b") }, targetOf(), renderer);
    const old = new Set(before.manifests);
    expect(after.manifests.filter((manifest) => !old.has(manifest)).map(({ metadata }) => metadata.name)).toEqual(["cm-500"]);
  });
  it("the capabilities of a cluster count only for the kinds that are rendered", async () => {
    const renderer = rendererWithoutTools();
    const snapshot = snapshotOf({ "app/a.yaml": "apiVersion: x.io/v1\nkind: Widget\nmetadata: {name: a}\n" });
    const render = (kinds: string[]) => renderer.render(targetOf(), snapshot, { apiVersions: [], clusterScopedKinds: new Set(kinds) });
    const unknown = await render([]);
    expect(await render(["y.io/Other"])).toBe(unknown);
    expect((await render(["x.io/Widget"])).manifests[0]?.metadata).not.toHaveProperty("namespace");
  });
  it("is refused while nobody knows whether a kind lives in a namespace, and goes on for all other kinds", async () => {
    const unreported = { ...NO_CAPABILITIES, unreported: true };
    const render = (text: string) => rendererWithoutTools().render(targetOf(), snapshotOf({ "app/a.yaml": text }), unreported);
    await expect(render("apiVersion: x.io/v1\nkind: Widget\nmetadata: {name: a}\n")).rejects.toMatchObject({
      code: "CAPABILITIES_UNKNOWN",
      message: expect.stringContaining("Widget of x.io/v1"),
    });
    expect((await render(configMap("a", { v: "x" }))).manifests).toHaveLength(1);
  });
  it("an aborted signal ends it", async () => {
    const controller = new AbortController();
    controller.abort(new Error("stop"));
    await expect(
      rendererWithoutTools().render(targetOf(), snapshotOf({ "app/a.yaml": "" }), NO_CAPABILITIES, controller.signal),
    ).rejects.toThrow("stop");
  });
});
