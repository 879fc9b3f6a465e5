import { readdirSync } from "node:fs";
import type { CodedError } from "@muster/shared/errors";
import type { Clock } from "@muster/shared/runtime";
import { systemClock } from "@muster/shared/runtime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  configMap,
  dataOf,
  type FileSpec,
  layerOf,
  NO_CAPABILITIES,
  snapshotOf,
  targetOf,
} from "../../../../test/fixtures/render/targets.ts";
import { resolveBinary } from "../../../../test/rig/binaries.ts";
import { createTempFolder } from "../../../../test/rig/temp-folder.ts";
import { createRenderer, type RendererOptions } from "../create-renderer.ts";
import type { ClusterCapabilities, Renderer } from "../renderer.ts";

const folder = createTempFolder("render-helm");
let helm = "";
let renderer: Renderer;
const create = (options: RendererOptions = {}) => createRenderer({ helm, temporaryFolder: folder.path, ...options });

beforeAll(async () => {
  helm = await resolveBinary("helm");
  renderer = create();
});
afterAll(() => folder.remove());

const VALUES = `${configMap("values")}  json: {{ .Values | toJson | quote }}\n  release: {{ .Release.Name }}/{{ .Release.Namespace }}\n`;

/** A chart in directory `app`. */
function chart(files: Record<string, FileSpec> = {}): Record<string, FileSpec> {
  return { "app/Chart.yaml": "apiVersion: v2\nname: demo\nversion: 0.1.0\n", "app/values.yaml": "", "app/bundle.yaml": "x", ...files };
}

const render = (files: Record<string, FileSpec>, target = targetOf(), capabilities: ClusterCapabilities = NO_CAPABILITIES, by = renderer) =>
  by.render(target, snapshotOf(chart(files)), capabilities);

async function failure(files: Record<string, FileSpec>, target = targetOf(), by = renderer): Promise<CodedError> {
  return await render(files, target, NO_CAPABILITIES, by).then(
    () => {
      throw new Error("no error");
    },
    (error: CodedError) => error,
  );
}

describe("charts, with the real helm", () => {
  it("values: chart, then the bundle's files and values, then each layer's; maps merge, later wins, null removes", async () => {
    const target = targetOf(
      { namespace: "ns", helm: { valuesFiles: ["one.yaml"], values: { a: "bundle", m: { q: 2 }, gone: null, n: "${N}" } } },
      {
        layers: [layerOf({ helm: { valuesFiles: ["two.yaml"] } }), layerOf({ helm: { values: { m: { z: "${T}" } } } })],
        variables: { N: 5, T: "8" },
      },
    );
    const files = {
      "app/values.yaml": "a: chart\nb: chart\ngone: 1\nm: {x: 1, q: 1}\n",
      "app/one.yaml": "a: one\nb: one\nm: {w: 0}\n",
      "app/two.yaml": "b: two\nm: {q: 3}\n",
      "app/templates/v.yaml": VALUES,
    };
    const rendered = await render(files, target);
    const { manifests, origins } = rendered;
    const { json, release } = dataOf(rendered);
    expect(JSON.parse(json ?? "")).toEqual({ a: "bundle", b: "two", m: { w: 0, x: 1, q: 3, z: "8" }, n: 5 });
    expect([release, manifests[0]?.metadata["namespace"], origins]).toEqual(["app/ns", "ns", ["templates/v.yaml"]]);
  });
  it("a layer's release name and namespace are used, also for objects that name no namespace", async () => {
    const target = targetOf({ helm: {} }, { layers: [layerOf({ helm: { releaseName: "rel", releaseNamespace: "where" } })] });
    const rendered = await render({ "app/templates/v.yaml": VALUES }, target);
    expect([rendered.manifests[0]?.metadata["namespace"], dataOf(rendered)["release"]]).toEqual(["where", "rel/where"]);
  });
  it("a chart in a directory of the bundle, with CRDs, a vendored dependency, notes and helpers", async () => {
    const { manifests, origins } = await render(
      {
        "app/c/Chart.yaml":
          "apiVersion: v2\nname: demo\nversion: 0.1.0\ndependencies: [{name: sub, version: 1.0.0, repository: https://example.com}]\n",
        "app/c/charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
        "app/c/charts/sub/templates/s.yaml": configMap("sub"),
        "app/c/crds/crd.yaml":
          "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: things.x.io}\nspec: {group: x.io, scope: Cluster, names: {kind: Thing}}\n",
        "app/c/templates/_helpers.tpl": '{{ define "n" }}named{{ end }}',
        "app/c/templates/t.yaml": 'apiVersion: x.io/v1\nkind: Thing\nmetadata:\n  name: {{ include "n" . }}\n  namespace: dropped\n',
        "app/c/templates/NOTES.txt": "{{ .Chart.Name }} is not YAML: [",
      },
      targetOf({ helm: { chart: "c" } }),
    );
    expect(origins.map((origin, index) => [origin, manifests[index]?.metadata.name]).sort()).toEqual([
      ["charts/sub/templates/s.yaml", "sub"],
      ["crds/crd.yaml", "things.x.io"],
      ["templates/t.yaml", "named"],
    ]);
    expect(manifests.find(({ kind }) => kind === "Thing")?.metadata).not.toHaveProperty("namespace");
  });
  it("E168: hooks, tests and lookups are listed and nothing of them is applied", async () => {
    const hook = (name: string, event: string) =>
      configMap(name).replace("metadata:", `metadata:\n  annotations: {helm.sh/hook: ${event}}`);
    const { manifests, notices } = await render({
      "app/templates/a.yaml": `${configMap("a")}  found: {{ lookup "v1" "Secret" "a" "b" | toJson | quote }}\n`,
      "app/templates/h.yaml": `${hook("h", "pre-install")}---\n${hook("t", "test")}`,
    });
    expect(manifests.map(({ metadata }) => metadata.name)).toEqual(["a"]);
    expect(manifests[0]?.["data"]).toMatchObject({ found: "{}" });
    expect(notices.map(({ type }) => type).sort()).toEqual(["HelmHookSkipped", "HelmTestSkipped", "LookupEmpty"]);
  });
  it("a chart that renders nothing but hooks is empty", async () => {
    expect(
      await failure({ "app/templates/h.yaml": configMap("h").replace("metadata:", "metadata:\n  annotations: {helm.sh/hook: test}") }),
    ).toMatchObject({ code: "BUNDLE_EMPTY" });
  });
  it("the cluster's version and APIs reach the chart, and only charts that ask for them are rendered per cluster", async () => {
    const asks = {
      "app/templates/a.yaml": `${configMap("a")}  v: {{ .Capabilities.KubeVersion.Version }} {{ .Capabilities.APIVersions.Has "x.io/v1/Thing" }}\n`,
    };
    const clusters: ClusterCapabilities[] = [
      NO_CAPABILITIES,
      { ...NO_CAPABILITIES, kubernetesVersion: "v1.34.4+k3s1", apiVersions: ["x.io/v1/Thing"] },
    ];
    const of = async (files: Record<string, FileSpec>) =>
      await Promise.all(clusters.map((capabilities) => render(files, targetOf(), capabilities)));
    expect((await of(asks)).map((rendered) => dataOf(rendered)["v"])).toEqual(["v1.36.0 false", "v1.34.4+k3s1 true"]);
    const [one, two] = await of({ "app/templates/a.yaml": configMap("a") });
    expect(one).toBe(two);
    const unreported = { ...NO_CAPABILITIES, unreported: true };
    await expect(render(asks, targetOf(), unreported)).rejects.toMatchObject({
      code: "CAPABILITIES_UNKNOWN",
      at: { file: "app/Chart.yaml" },
    });
    expect(await render({ "app/templates/a.yaml": configMap("a") }, targetOf(), unreported)).toBe(one);
  });
  it("${…} in a chart's output is a variable of the target", async () => {
    const { manifests } = await render({ "app/templates/a.yaml": configMap("a", { v: "${V}" }) }, targetOf({}, { variables: { V: "x" } }));
    expect(manifests[0]?.["data"]).toEqual({ v: "x" });
  });
});

describe("charts that go wrong", () => {
  it("a template that fails is named with its line, without the private folder", async () => {
    const error = await failure({ "app/templates/bad.yaml": "a: 1\nb: {{ .Values.none.x }}\n" });
    expect([error.code, error.at]).toMatchObject(["RENDER_HELM", { file: "app/templates/bad.yaml", line: 2 }]);
    expect(error.message).not.toContain(folder.path);
  });
  it("a values file with an error is named with its line", async () => {
    expect(await failure({ "app/eu.yaml": "a: 1\nb: [\n" }, targetOf({ helm: { valuesFiles: ["eu.yaml"] } }))).toMatchObject({
      code: "YAML_SYNTAX",
      at: { file: "app/eu.yaml", line: 2 },
    });
  });
  it("values that the chart's schema refuses are an error of the chart", async () => {
    const error = await failure(
      { "app/values.schema.json": '{"properties":{"n":{"type":"integer"}}}', "app/templates/a.yaml": configMap("a") },
      targetOf({ helm: { values: { n: "x" } } }),
    );
    expect([error.code, error.message]).toEqual(["RENDER_HELM", expect.stringContaining("got string, want integer")]);
  });
  it("E161: random output is refused and the object named", async () => {
    const error = await failure({ "app/templates/a.yaml": `${configMap("a")}---\n${configMap("r")}  v: {{ randAlphaNum 8 | quote }}\n` });
    expect([error.code, error.data]).toEqual(["RENDER_NONDETERMINISTIC", { objects: ["ConfigMap r (templates/a.yaml)"] }]);
  });
  it("E161: so is the time, though two renders may end in the same second", async () => {
    expect(await failure({ "app/templates/a.yaml": `${configMap("a")}  v: {{ now | date "15:04:05" | quote }}\n` })).toMatchObject({
      code: "RENDER_NONDETERMINISTIC",
    });
  });
  it("random functions whose result is not used do not matter", async () => {
    await render({ "app/templates/a.yaml": `{{ $x := randAlphaNum 8 }}${configMap("a")}` });
  });
  it("a failure is remembered: the same input is not rendered again", async () => {
    const files = { "app/templates/a.yaml": '{{ fail "no" }}' };
    const first = await failure(files);
    const start = performance.now();
    expect(await failure(files)).toBe(first);
    expect(performance.now() - start).toBeLessThan(20);
  });
  it("an endless template is stopped in time; it is tried again only after a while", async () => {
    let offsetMs = 0;
    const clock: Clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + offsetMs };
    const hanging = create({ timeoutMs: 700, clock });
    const files = {
      "app/templates/a.yaml": "{{ range until 100000 }}{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}{{ end }}",
    };
    expect(await failure(files, targetOf(), hanging)).toMatchObject({ code: "RENDER_TIMEOUT", at: { file: "app/bundle.yaml" } });
    const start = performance.now();
    expect(await failure(files, targetOf({}, { cluster: "other" }), hanging)).toMatchObject({ code: "RENDER_TIMEOUT" });
    expect(performance.now() - start).toBeLessThan(300);
    offsetMs = 120_000;
    const again = performance.now();
    expect(await failure(files, targetOf(), hanging)).toMatchObject({ code: "RENDER_TIMEOUT" });
    expect(performance.now() - again).toBeGreaterThan(600);
  });
  it("a template that eats memory is stopped", async () => {
    const bomb = {
      "app/templates/a.yaml": '{{ $s := "xxxxxxxxxxxxxxxx" }}{{ range until 40 }}{{ $s = printf "%s%s" $s $s }}{{ end }}{{ $s }}',
    };
    expect(await failure(bomb, targetOf(), create({ maxMemoryBytes: 200e6 }))).toMatchObject({ code: "RENDER_LIMIT" });
  });
  it("oversized output is stopped", async () => {
    const large = { "app/templates/a.yaml": `${configMap("a")}  v: {{ repeat 2000000 "x" }}\n` };
    expect(await failure(large, targetOf(), create({ maxOutputBytes: 1_000_000 }))).toMatchObject({ code: "RENDER_LIMIT" });
  });
  it("output of ten million values is an error of that chart, and costs the hub no more than its text", async () => {
    const before = process.memoryUsage().rss;
    // In crds/, for helm itself would fail on what it parses.
    const bomb = { "app/templates/a.yaml": configMap("a"), "app/crds/x.yaml": `a: [${"1,".repeat(10_000_000)}]\n` };
    expect(await failure(bomb)).toMatchObject({ code: "YAML_LIMIT", at: { file: "app" } });
    expect(process.memoryUsage().rss - before).toBeLessThan(500e6);
  });
  it("templates that call each other without end are an error of the chart", async () => {
    expect(await failure({ "app/templates/a.yaml": '{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}' })).toMatchObject({
      code: "RENDER_HELM",
    });
  });
  it("nothing of the hub can be read by a chart", async () => {
    process.env["MUSTER_TEST_SECRET"] = "canary";
    try {
      for (const call of ['env "MUSTER_TEST_SECRET"', 'expandenv "$MUSTER_TEST_SECRET"']) {
        expect(await failure({ "app/templates/a.yaml": `a: {{ ${call} }}` })).toMatchObject({ code: "RENDER_HELM" });
      }
      const { manifests } = await render({
        "app/templates/a.yaml": `${configMap("a")}  v: {{ .Files.Get "../../../etc/passwd" | quote }}{{ .Files.Get "/etc/passwd" }}\n  w: {{ getHostByName "localhost" | quote }}\n`,
      });
      expect(manifests[0]?.["data"]).toMatchObject({ v: "", w: "" });
    } finally {
      delete process.env["MUSTER_TEST_SECRET"];
    }
  });
  it("a thousand targets with the same input cost one render", async () => {
    const start = performance.now();
    const snapshot = snapshotOf(chart({ "app/templates/a.yaml": `${configMap("many")}  v: "1"\n` }));
    const results = await Promise.all(
      Array.from({ length: 1_000 }, (_, index) =>
        renderer.render(targetOf({}, { cluster: `c-${index}`, variables: { I: index } }), snapshot, NO_CAPABILITIES),
      ),
    );
    expect(new Set(results).size).toBe(1);
    expect(performance.now() - start).toBeLessThan(5_000);
  });
  it("no private folder is left behind by any of these", () => {
    expect(readdirSync(folder.path)).toEqual([]);
  });
});
