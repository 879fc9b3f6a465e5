import { describe, expect, it } from "vitest";
import { buildFleet } from "./build-fleet.ts";
import { readDocuments } from "./read-documents.ts";

const build = (files: Readonly<Record<string, string>>) =>
  buildFleet([
    {
      source: "fleet",
      commit: { source: "fleet", ref: "main", commit: "c" },
      files: Object.entries(files).map(([path, text]) => readDocuments(Buffer.from(text), path, "fleet")),
    },
  ]);
const cluster = (name: string, labels = "{ env: prod }", more = "") =>
  `apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: { name: ${name}, labels: ${labels} }\n${more}`;
const bundle = (name: string, spec = "targets: [{ all: true }]") =>
  `apiVersion: muster.dev/v1alpha1\nkind: Bundle\nmetadata: { name: ${name} }\nspec: { ${spec} }\n`;
const codes = (model: ReturnType<typeof build>) => model.problems.map((problem) => problem.code);
const pairs = (model: ReturnType<typeof build>) => model.targets.map((target) => `${target.bundle.name}@${target.cluster.name}`);

describe("a fleet from its documents", () => {
  it("targets clusters by labels, by name, and all", () => {
    const model = build({
      "clusters/a.yaml": `${cluster("one")}---\n${cluster("two", "{ env: lab }")}`,
      "web/bundle.yaml": bundle("web", "targets: [{ matchLabels: { env: prod } }]"),
      "lab/bundle.yaml": bundle("lab", "targets: [{ clusters: [two] }]"),
      "all/bundle.yaml": bundle("all"),
    });
    expect(model.problems).toEqual([]);
    expect(pairs(model)).toEqual(["all@one", "web@one", "all@two", "lab@two"]);
    expect(model.bundles.get("web")).toMatchObject({ directory: "web", options: { prune: true, drift: { mode: "correct" } } });
  });

  it("resolves every layer that matches, in declared order", () => {
    const model = build({
      "clusters/a.yaml": cluster("one", "{ env: prod, region: eu }"),
      "web/bundle.yaml": bundle(
        "web",
        "targets: [{ all: true }], layers: [{ selector: { matchLabels: { region: eu } }, variables: { A: 1 } }, { selector: { matchLabels: { region: us } } }, { selector: { clusters: [one] }, variables: { A: 2 } }]",
      ),
    });
    expect(model.targets[0]?.layers.map((layer) => layer.variables)).toEqual([{ A: 1 }, { A: 2 }]);
  });

  it("orders a cluster's bundles by dependency, then by name", () => {
    const model = build({
      "clusters/a.yaml": cluster("one"),
      "a/bundle.yaml": bundle("a", "targets: [{ all: true }], dependsOn: [{ bundle: z }]"),
      "b/bundle.yaml": bundle("b"),
      "z/bundle.yaml": bundle("z"),
    });
    expect(pairs(model)).toEqual(["z@one", "a@one", "b@one"]);
  });

  it("an unknown field is an error with file, line and column, and holds back only its document", () => {
    const model = build({
      "clusters/a.yaml": cluster("one"),
      "web/bundle.yaml":
        "apiVersion: muster.dev/v1alpha1\nkind: Bundle\nmetadata: { name: web }\nspec:\n  targets: [{ all: true }]\n  namespce: x\n",
      "ok/bundle.yaml": bundle("ok"),
    });
    expect(model.problems).toMatchObject([
      { code: "FLEET_UNKNOWN_FIELD", at: { file: "web/bundle.yaml", line: 6, column: 3 }, scope: { kind: "bundle", name: "web" } },
    ]);
    expect([...model.heldBundles]).toEqual(["web"]);
    expect(model.complete).toBe(true);
    expect(pairs(model)).toEqual(["ok@one"]);
  });

  it("E110: a document that does not parse has a line, and makes the model incomplete, because its name is not known", () => {
    const model = build({ "clusters/a.yaml": cluster("one"), "web/bundle.yaml": "apiVersion: [\n", "ok/bundle.yaml": bundle("ok") });
    expect(model.problems).toMatchObject([{ code: "YAML_SYNTAX", at: { file: "web/bundle.yaml", line: 1 } }]);
    expect(model.complete).toBe(false);
    expect(pairs(model)).toEqual(["ok@one"]);
  });

  it("E181: an empty selector is an error, `all: true` is not", () => {
    for (const target of ["{}", "{ matchLabels: {} }", "{ matchExpressions: [] }"]) {
      expect(codes(build({ "clusters/a.yaml": cluster("one"), "w/bundle.yaml": bundle("w", `targets: [${target}]`) }))).toEqual([
        "FLEET_EMPTY_SELECTOR",
      ]);
    }
  });

  it("refuses malformed selectors, as Kubernetes does", () => {
    for (const target of [
      "{ matchExpressions: [{ key: a, operator: In }] }",
      "{ matchExpressions: [{ key: a, operator: Exists, values: [x] }] }",
      "{ matchExpressions: [{ key: a, operator: Has }] }",
      "{ matchExpressions: [{ key: 'a b', operator: Exists }] }",
      "{ matchLabels: { a: 'b c' } }",
      "{ matchLabels: { a: 1 } }",
      "{ all: true, clusters: [one] }",
    ]) {
      expect(codes(build({ "clusters/a.yaml": cluster("one"), "w/bundle.yaml": bundle("w", `targets: [${target}]`) })), target).toEqual([
        "FLEET_SELECTOR",
      ]);
    }
  });

  it("duplicate names hold back both, and the message names both files", () => {
    const model = build({
      "clusters/a.yaml": cluster("one"),
      "clusters/b.yaml": cluster("one"),
      "a/bundle.yaml": bundle("web"),
      "b/bundle.yaml": bundle("web"),
      "c/bundle.yaml": bundle("c"),
    });
    expect(codes(model)).toEqual(["FLEET_DUPLICATE", "FLEET_DUPLICATE"]);
    expect(model.problems[1]?.message).toContain("a/bundle.yaml:1 and b/bundle.yaml:1");
    expect([[...model.heldClusters], [...model.heldBundles]]).toEqual([["one"], ["web"]]);
  });

  it("unknown kinds, versions and clusters are errors", () => {
    expect(codes(build({ "clusters/a.yaml": cluster("one").replace("v1alpha1", "v1"), "w/bundle.yaml": bundle("w") }))).toContain(
      "FLEET_UNKNOWN_KIND",
    );
    expect(codes(build({ "clusters/a.yaml": cluster("one").replace("Cluster", "Klaster"), "w/bundle.yaml": bundle("w") }))).toContain(
      "FLEET_UNKNOWN_KIND",
    );
    expect(codes(build({ "clusters/a.yaml": cluster("one"), "w/bundle.yaml": bundle("w", "targets: [{ clusters: [onne] }]") }))).toEqual([
      "FLEET_UNKNOWN_CLUSTER",
    ]);
  });

  it("E010: a circle of dependencies is told with its path, and a missing one by name", () => {
    const model = build({
      "clusters/a.yaml": cluster("one"),
      "a/bundle.yaml": bundle("a", "targets: [{ all: true }], dependsOn: [{ bundle: b }]"),
      "b/bundle.yaml": bundle("b", "targets: [{ all: true }], dependsOn: [{ bundle: a }]"),
      "c/bundle.yaml": bundle("c", "targets: [{ all: true }], dependsOn: [{ bundle: nowhere }]"),
      "d/bundle.yaml": bundle("d"),
    });
    expect(model.problems.map((problem) => problem.message)).toEqual(
      expect.arrayContaining([expect.stringContaining("a → b → a"), expect.stringContaining("nowhere")]),
    );
    expect(pairs(model)).toEqual(["d@one"]);
  });

  it("E070: a fleet without any cluster or bundle is an error of the whole", () => {
    expect(codes(build({ "w/bundle.yaml": bundle("w") }))).toEqual(["FLEET_EMPTY"]);
    expect(codes(build({ "clusters/a.yaml": cluster("one") }))).toEqual(["FLEET_EMPTY"]);
  });

  it("E187: a source without a snapshot makes the model incomplete", () => {
    expect(buildFleet([{ source: "gone", files: [] }]).complete).toBe(false);
  });

  it("paths that lead out of the bundle are refused where they are written", () => {
    expect(
      codes(
        build({
          "clusters/a.yaml": cluster("one"),
          "w/bundle.yaml": bundle("w", "targets: [{ all: true }], kustomize: { path: ../other }"),
        }),
      ),
    ).toEqual(["BUNDLE_PATH_ESCAPE"]);
  });

  it("an alias bomb is YAML_LIMIT", () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${["b", "c", "d", "e"].map((key, index) => `${key}: &${key} [${Array(9).fill(`*${"abcd"[index]}`).join(",")}]`).join("\n")}\n`;
    expect(codes(build({ "clusters/a.yaml": cluster("one"), "w/bundle.yaml": bomb }))).toEqual(["YAML_LIMIT"]);
  });
});
