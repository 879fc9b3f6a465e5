import { describe, expect, it } from "vitest";
import { buildFleet } from "./fleet/build-fleet.ts";
import { mayMatchBelow } from "./hidden-documents.ts";
import { createFleetLoader } from "./load-fleet-input.ts";
import type { CommitSnapshot, SnapshotFile } from "./source/snapshot.ts";

const CLUSTER = "apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: { name: one }\n";
const bundle = (name: string) =>
  `apiVersion: muster.dev/v1alpha1\nkind: Bundle\nmetadata: { name: ${name} }\nspec: { targets: [{ all: true }] }\n`;

/** Contents by path; `-> target` is a symlink, `@` a submodule. */
function snapshotOf(contents: Readonly<Record<string, string>>, source = "fleet"): CommitSnapshot {
  const typeOf = (text: string): SnapshotFile["type"] => (text.startsWith("-> ") ? "symlink" : text === "@" ? "submodule" : "file");
  return {
    source,
    ref: "main",
    commit: "c",
    subject: "",
    author: "",
    committedAt: "",
    files: new Map(Object.entries(contents).map(([path, text]) => [path, { path, oid: text, type: typeOf(text), executable: false }])),
    read: async (path) => Buffer.from(contents[path] ?? ""),
    readLink: async (path) => (contents[path] ?? "").slice(3),
  };
}

const modelOf = async (...snapshots: CommitSnapshot[]) => {
  const loader = createFleetLoader();
  return buildFleet(await Promise.all(snapshots.map((snapshot) => loader.load(snapshot))));
};

describe("the documents of a commit", () => {
  it("E159: a document that became a symlink is not a document that was removed", async () => {
    const sound = { "clusters/a.yaml": CLUSTER, "web/bundle.yaml": bundle("web"), "shared/b.yaml": CLUSTER.replace("one", "two") };
    expect((await modelOf(snapshotOf(sound))).complete).toBe(true);
    for (const hidden of [
      { "db/bundle.yaml": "-> ../web/bundle.yaml" },
      { "clusters/more": "-> ../shared/" },
      { "clusters/more": "-> ../again", again: "-> shared" },
      { apps: "-> ../outside/apps" },
      { apps: "-> /absolute" },
      { "vendor/apps": "@" },
      { "muster.yaml": "-> elsewhere.yaml" },
    ]) {
      const model = await modelOf(snapshotOf({ ...sound, ...hidden }));
      expect([hidden, model.complete, model.problems.map(({ code, at }) => [code, at?.file])]).toEqual([
        hidden,
        false,
        [["BUNDLE_PATH_ESCAPE", Object.keys(hidden)[0]]],
      ]);
    }
  });

  it("a symlink in which no document can be is nobody's business", async () => {
    const model = await modelOf(
      snapshotOf({
        "clusters/a.yaml": CLUSTER,
        "web/bundle.yaml": bundle("web"),
        "docs/v1.md": "x",
        "CLAUDE.md": "-> docs/v1.md",
        "docs/latest": "-> .",
        current: "-> web",
        dangling: "-> nowhere",
      }),
    );
    expect(model.problems).toEqual([]);
  });

  it("a chart's template is no document, whatever it is called", async () => {
    const model = await modelOf(
      snapshotOf({
        "clusters/a.yaml": CLUSTER,
        "web/bundle.yaml": bundle("web"),
        "web/Chart.yaml": "name: web\n",
        "web/templates/bundle.yaml": "{{ nothing }}\n",
      }),
    );
    expect(model.problems).toEqual([]);
  });

  it("E070: a source that says nothing any more makes the fleet incomplete, however much the others say", async () => {
    const first = snapshotOf({ "clusters/a.yaml": CLUSTER, "web/bundle.yaml": bundle("web") });
    const model = await modelOf(first, snapshotOf({ "README.md": "moved" }, "second"));
    expect(model).toMatchObject({ complete: false, problems: [{ code: "FLEET_EMPTY", scope: { kind: "document" } }] });
  });

  it("I8: a source that cannot be read holds back only itself", async () => {
    const first = snapshotOf({ "clusters/a.yaml": CLUSTER, "web/bundle.yaml": bundle("web") });
    const broken = { ...snapshotOf({ "db/bundle.yaml": bundle("db") }, "second"), read: () => Promise.reject(new Error("bad object")) };
    const model = await modelOf(first, broken);
    expect(model.targets.map((target) => target.bundle.name)).toEqual(["web"]);
    expect(model).toMatchObject({ complete: false, problems: [{ message: expect.stringContaining("second") }] });
  });

  it("two Fleet documents are told with both places, and nothing is removed by either", async () => {
    const fleet = "apiVersion: muster.dev/v1alpha1\nkind: Fleet\nmetadata: { name: acme }\n";
    const model = await modelOf(
      snapshotOf({ "clusters/a.yaml": CLUSTER, "muster.yaml": fleet }),
      snapshotOf({ "web/bundle.yaml": bundle("web"), "muster.yaml": fleet }, "second"),
    );
    expect(model).toMatchObject({
      complete: false,
      problems: [{ code: "FLEET_DUPLICATE", message: expect.stringMatching(/fleet: muster.yaml:1 and second: muster.yaml:1/) }],
    });
  });

  it("what has left Git is read again when it comes back, and what is as before is not", async () => {
    let reads = 0;
    const loader = createFleetLoader();
    const counted = (contents: Record<string, string>) => {
      const snapshot = snapshotOf(contents);
      return {
        ...snapshot,
        read(path: string) {
          reads += 1;
          return snapshot.read(path);
        },
      };
    };
    const both = { "clusters/a.yaml": CLUSTER, "web/bundle.yaml": bundle("web") };
    await loader.load(counted(both));
    await loader.load(counted(both));
    expect(reads).toBe(2);
    await loader.load(counted({ "clusters/a.yaml": CLUSTER }));
    await loader.load(counted(both));
    expect(reads).toBe(3);
  });
});

describe("whether a pattern may match below a folder", () => {
  it.each([
    ["**/bundle.yaml", "any/where", true],
    ["apps/*/bundle.yaml", "apps", true],
    ["apps/*/bundle.yaml", "apps/web", true],
    ["apps/*/bundle.yaml", "apps/web/bundle.yaml", false],
    ["apps/*/bundle.yaml", "vendor", false],
    ["clusters/**/*.yaml", "clusters", true],
    ["clusters/**/*.yaml", "cluster", false],
  ])("%s below %s: %s", (pattern, folder, expected) => expect(mayMatchBelow(pattern, folder)).toBe(expected));
});
