import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { type FileSpec, layerOf, snapshotOf, targetOf } from "../../../../test/fixtures/render/targets.ts";
import { bundleFilesOf } from "../bundle/bundle-files.ts";
import { DocumentReader } from "../documents/document-reader.ts";
import { chartFacts, valuesFacts } from "./chart-facts.ts";
import { checkDependencies } from "./check-chart.ts";
import { helmError } from "./helm-error.ts";
import { type HelmInput, helmInput } from "./helm-input.ts";
import { helmObjects } from "./helm-output.ts";

const filesOf = (specs: Record<string, FileSpec>) => bundleFilesOf(snapshotOf(specs), "app");
const reader = new DocumentReader();

describe("what a chart's text says", () => {
  const facts = (path: string, content: string | Uint8Array) =>
    chartFacts(new Map([[path, Buffer.from(content)]]), filesOf({ "app/Chart.yaml": "" }));
  it("capabilities, randomness, time and lookups count only in templates' actions", () => {
    expect(facts("templates/a.yaml", "{{ .Capabilities.KubeVersion }}").usesCapabilities).toBe(true);
    expect(facts("Chart.yaml", "name: a\nkubeVersion: '>=1.20'\n").usesCapabilities).toBe(true);
    expect(facts("templates/a.yaml", "{{\n now | date }}").usesTime).toBe(true);
    expect(facts("templates/a.yaml", '{{ lookup "v1" "Secret" "a" "b" }}').lookups).toEqual(["templates/a.yaml"]);
    expect(facts("templates/a.yaml", "# update now: rand, lookup, Capabilities\na: {{ .Values.update }}")).toEqual({
      usesCapabilities: false,
      usesRandom: false,
      usesOrder: false,
      usesTime: false,
      suspects: [],
      lookups: [],
    });
    expect(valuesFacts("a: '{{ randAlpha 3 }}'").usesRandom).toBe(true);
  });
  // All functions of sprig 3.3 (functions.go) and helm 4.3 (pkg/engine/funcs.go) that give something else another time.
  it.each([
    ...["randAlphaNum 5", "randAlpha 5", "randAscii 5", "randNumeric 5", "randInt 0 9", "randBytes 5", "shuffle .x", "uuidv4"],
    ...['genPrivateKey "rsa"', 'genCA "a" 1', 'genCAWithKey "a" 1 .k', 'genSelfSignedCert "a" nil nil 1', 'genSelfSignedCertWithKey "a"'],
    ...['genSignedCert "a" nil nil 1 .ca', 'genSignedCertWithKey "a"', 'htpasswd "a" "b"', "bcrypt .x", 'encryptAES "a" "b"'],
  ])("%s is chance", (call) => {
    for (const action of [`{{- ${call} -}}`, `{{(${call})}}`, `{{ .x | ${call} }}`]) {
      expect(facts("templates/_h.tpl", action)).toMatchObject({ usesRandom: true, suspects: ["templates/_h.tpl"] });
    }
  });
  it.each([
    "now",
    "ago .x",
    'date "2006" .x',
    'dateInZone "2006" .x "UTC"',
    'date_in_zone "2006" .x "UTC"',
    "htmlDate .x",
    "htmlDateInZone .x",
    "durationRound .x",
  ])("%s is time", (call) => {
    for (const action of [`{{ ${call} }}`, `{{(${call})}}`, `{{ $x := ${call} }}`])
      expect(facts("templates/a.yaml", action)).toMatchObject({ usesTime: true });
  });
  it.each(["keys .x", "values .Values.env", "range $k := keys .x", "len (keys .x)", "keys .x | join"])(
    "%s has an order of its own",
    (call) => {
      expect(facts("templates/a.yaml", `{{- ${call} }}`).usesOrder).toBe(true);
    },
  );
  it.each([
    ...[".Values.keys", "$.Values.values", "$keys", 'include "common.values" .', 'dict "keys" 1', "tplvalues .x", "valuesFrom"],
    ...["/* see values and keys, now and rand */", "keys .Values.env | sortAlpha", "range (keys .x | uniq | sortAlpha)", "printf .now"],
  ])("{{ %s }} depends on nothing but its arguments", (text) => {
    const { usesRandom, usesTime, usesOrder } = facts("templates/a.yaml", `{{${text.startsWith("/*") ? text : ` ${text} `}}}`);
    expect([usesRandom, usesTime, usesOrder]).toEqual([false, false, text.includes("uniq")]);
  });
  it("packed dependencies are looked into, and what cannot be unpacked may do anything", () => {
    expect(facts("charts/a.tgz", gzipSync("{{ now }}")).usesTime).toBe(true);
    expect(facts("charts/a.tgz", gzipSync("{{ .Values.a }}")).usesRandom).toBe(false);
    expect(facts("charts/a.tgz", "not gzip")).toMatchObject({ usesRandom: true, usesCapabilities: true });
  });
  it("a values schema that refers to other places is refused", () => {
    for (const reference of ["https://example.com/s.json", "http://127.0.0.1/x", "file:///etc/passwd", "other.json", "../x.json"]) {
      expect(() => facts("values.schema.json", JSON.stringify({ properties: { a: { $ref: reference } } }))).toThrow(
        expect.objectContaining({ code: "RENDER_REMOTE" }),
      );
    }
    facts(
      "values.schema.json",
      JSON.stringify({ $schema: "http://json-schema.org/draft-07/schema#", properties: { a: { $ref: "#/definitions/b" } } }),
    );
  });
});

describe("dependencies", () => {
  const chart =
    "apiVersion: v2\nname: a\nversion: 1.0.0\ndependencies: [{name: redis, version: 1.x, repository: https://charts.example.com}]\n";
  const check = (files: Record<string, FileSpec>) => checkDependencies(filesOf({ "app/c/Chart.yaml": chart, ...files }), "c", reader);
  it("that are not vendored are refused at Chart.yaml", async () => {
    await expect(check({})).rejects.toMatchObject({ code: "RENDER_REMOTE", at: { file: "app/c/Chart.yaml" } });
    await expect(check({ "app/c/charts/other-1.0.0.tgz": "" })).rejects.toMatchObject({ code: "RENDER_REMOTE" });
  });
  it("may be an archive, a directory, or a directory of another name", async () => {
    await check({ "app/c/charts/redis-1.2.3.tgz": "" });
    await check({ "app/c/charts/redis/Chart.yaml": "name: redis" });
    await check({ "app/c/charts/x/Chart.yaml": "name: redis" });
  });
});

describe("input of a chart", () => {
  const files = filesOf({ "app/Chart.yaml": "", "app/charts-dir/web/Chart.yaml": "", "app/a.yaml": "", "app/b.yaml": "" });
  const input = (bundle: Parameters<typeof targetOf>[0], options?: Parameters<typeof targetOf>[1], variables = {}) =>
    helmInput(targetOf(bundle, options), files, variables, "ns");
  it("values files come before values, the bundle before its layers", () => {
    const { values } = input(
      { helm: { values: { a: 1 }, valuesFiles: ["b.yaml", "./a.yaml"] } },
      {
        layers: [
          layerOf({ helm: { values: { a: 2 }, valuesFiles: ["b.yaml"] } }),
          layerOf({}),
          layerOf({ helm: { values: { a: "${N}" } } }),
        ],
      },
      { N: 3 },
    );
    expect(values.map((value) => ("file" in value ? value.file : value.json))).toEqual([
      "b.yaml",
      "a.yaml",
      '{"a":1}',
      "b.yaml",
      '{"a":2}',
      '{"a":3}',
    ]);
  });
  it("name and namespace default to the bundle's, the last one wins", () => {
    expect(input({})).toMatchObject({ chart: "", releaseName: "app", releaseNamespace: "ns" });
    expect(
      input(
        { helm: { chart: "charts-dir/web", releaseName: "x" } },
        { layers: [layerOf({ helm: { releaseName: "y", releaseNamespace: "z" } })] },
      ),
    ).toMatchObject({ chart: "charts-dir/web", releaseName: "y", releaseNamespace: "z" });
  });
  it.each<[string, Parameters<typeof targetOf>[0], string]>([
    ["a chart outside", { helm: { chart: "../x" } }, "BUNDLE_PATH_ESCAPE"],
    ["an absolute chart", { helm: { chart: "/x" } }, "BUNDLE_PATH_ESCAPE"],
    ["a chart on the network", { helm: { chart: "oci://example.com/x" } }, "RENDER_REMOTE"],
    ["a chart that is not there", { helm: { chart: "x" } }, "BUNDLE_FILE_MISSING"],
    ["values outside", { helm: { valuesFiles: ["../../values.yaml"] } }, "BUNDLE_PATH_ESCAPE"],
    ["values on the network", { helm: { valuesFiles: ["https://example.com/v.yaml"] } }, "RENDER_REMOTE"],
    ["values that are not there", { helm: { valuesFiles: ["c.yaml"] } }, "BUNDLE_FILE_MISSING"],
    ["a name that is an option", { helm: { releaseName: "--post-renderer=x" } }, "FLEET_INVALID"],
    ["a namespace that is none", { helm: { releaseNamespace: "A B" } }, "FLEET_INVALID"],
    ["an unset variable", { helm: { values: { a: "${U}" } } }, "VARIABLE_UNSET"],
    ["an expression that cannot be read", { helm: { values: { a: "${U" } } }, "VARIABLE_SYNTAX"],
  ])("%s is refused at the document that says it", (_, bundle, code) => {
    expect(() => input(bundle)).toThrow(expect.objectContaining({ code, at: expect.objectContaining({ file: "app/bundle.yaml" }) }));
  });
});

const INPUT: HelmInput = { chart: "c", values: [], releaseName: "a", releaseNamespace: "default" };

describe("output of helm", () => {
  it("gives each object its template; hooks and tests are left out with a notice, crd-install is an object", async () => {
    const hooked = (name: string, hook: string) =>
      `---\n# Source: demo/templates/${name}.yaml\napiVersion: v1\nkind: Pod\nmetadata:\n  name: ${name}\n  annotations: {helm.sh/hook: "${hook}"}\n`;
    const text = `---\n# Source: demo/crds/c.yaml\nkind: A\n---\nkind: B\n---\n# Source: demo/charts/sub/templates/d.yaml\nkind: C\n${hooked("pre", "pre-install, post-upgrade")}${hooked("t", "test")}${hooked("old", "crd-install")}`;
    const { objects, notices } = helmObjects(await reader.read(Buffer.from(text), { file: "x" }), filesOf({ "app/c/Chart.yaml": "" }), "c");
    expect(objects.map(({ origin, at }) => [origin, at.file])).toEqual([
      ["crds/c.yaml", "app/c/crds/c.yaml"],
      ["crds/c.yaml", "app/c/crds/c.yaml"],
      ["charts/sub/templates/d.yaml", "app/c/charts/sub/templates/d.yaml"],
      ["templates/old.yaml", "app/c/templates/old.yaml"],
    ]);
    expect(notices.map(({ type }) => type)).toEqual(["HelmHookSkipped", "HelmTestSkipped"]);
  });
  it("an object that Helm would keep is applied, and named: it is not kept by that", async () => {
    const text = `---\n# Source: demo/templates/pvc.yaml\nkind: PersistentVolumeClaim\nmetadata: {name: data, annotations: {helm.sh/resource-policy: keep}}\n`;
    const { objects, notices } = helmObjects(await reader.read(Buffer.from(text), { file: "x" }), filesOf({ "app/c/Chart.yaml": "" }), "c");
    expect(objects).toHaveLength(1);
    expect(notices).toEqual([
      {
        type: "HelmKeepIgnored",
        message: expect.stringMatching(/^PersistentVolumeClaim data \(templates\/pvc.yaml\).*deletion\.prune: false/),
      },
    ]);
  });
  it("an error in values is shown under the name that people gave them", () => {
    const input: HelmInput = { ...INPUT, values: [{ file: "eu.yaml", at: { file: "x" } }, { json: "{}" }] };
    const error = helmError("Error: failed to parse values/0.yaml and values/1.yaml", "/tmp/x", filesOf({ "app/c/Chart.yaml": "" }), input);
    expect(error.message).toBe("failed to parse app/eu.yaml and helm.values");
  });
  it.each([
    [
      'Error: demo/templates/bad.yaml:4:18\n  executing "demo/templates/bad.yaml" at <.x>:\n    nil pointer\n\nUse --debug flag to render out invalid YAML\n',
      "app/c/templates/bad.yaml",
      4,
    ],
    ["Error: parse error at (demo/templates/bad.yaml:1): missing value for if\n", "app/c/templates/bad.yaml", 1],
    ["Error: execution error at (demo/charts/sub/templates/x.tpl:1:6): no way\n", "app/c/charts/sub/templates/x.tpl", 1],
    [
      "Error: YAML parse error on demo/templates/bad.yaml: error converting YAML to JSON: yaml: line 3: x\n",
      "app/c/templates/bad.yaml",
      undefined,
    ],
    ["Error: something else in /tmp/muster-render-abc/input/c/x\n", "app/c/Chart.yaml", undefined],
  ])("the place of %j is found and the private folder is not shown", (stderr, file, line) => {
    const error = helmError(stderr, "/tmp/muster-render-abc", filesOf({ "app/c/Chart.yaml": "" }), INPUT);
    expect([error.code, error.at?.file, error.at?.line]).toEqual(["RENDER_HELM", file, line]);
    expect(error.message).not.toMatch(/muster-render|^Error|--debug/);
  });
});
