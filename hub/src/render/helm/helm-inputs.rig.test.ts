import { setImmediate as nextTurn } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { configMap, dataOf, layerOf, NO_CAPABILITIES, snapshotOf, targetOf } from "../../../../test/fixtures/render/targets.ts";
import { resolveBinary } from "../../../../test/rig/binaries.ts";
import { createTempFolder } from "../../../../test/rig/temp-folder.ts";
import type { Target } from "../../fleet/model.ts";
import { createRenderer } from "../create-renderer.ts";
import type { ClusterCapabilities, Renderer } from "../renderer.ts";

const folder = createTempFolder("helm-inputs");
let renderer: Renderer;
beforeAll(async () => {
  renderer = createRenderer({ helm: await resolveBinary("helm"), temporaryFolder: folder.path });
});
afterAll(() => folder.remove());

const chart = (template: string) =>
  snapshotOf({ "app/Chart.yaml": "apiVersion: v2\nname: demo\nversion: 0.1.0\n", "app/templates/a.yaml": template });
const RELEASE = chart(`${configMap("a")}  release: {{ .Release.Name }}/{{ .Release.Namespace }}\n`);

const render = (target: Target, snapshot = RELEASE, capabilities: ClusterCapabilities = NO_CAPABILITIES) =>
  renderer.render(target, snapshot, capabilities);
const releaseOf = async (target: Target) => dataOf(await render(target))["release"];

describe("what one target's chart is rendered from does not reach another's, in one renderer", () => {
  it("a cluster whose layer sets another release name gets its own objects", async () => {
    const layers = [layerOf({ helm: { releaseName: "other" } })];
    expect(await releaseOf(targetOf({ helm: {} }))).toBe("app/default");
    expect(await releaseOf(targetOf({ helm: {} }, { cluster: "b", layers }))).toBe("other/default");
    expect(await releaseOf(targetOf({ helm: {} }, { cluster: "c" }))).toBe("app/default");
  });
  it("a bundle that is renamed has its new name at once", async () => {
    expect(await releaseOf(targetOf({ name: "before" }))).toBe("before/default");
    expect(await releaseOf(targetOf({ name: "after" }))).toBe("after/default");
  });
  it("two bundles in one directory get each their own objects, also at the same time", async () => {
    const both = await Promise.all(["one", "two"].map((name) => releaseOf(targetOf({ name }))));
    expect(both).toEqual(["one/default", "two/default"]);
  });
  it("objects without a namespace go where .Release.Namespace is, as with helm install, whatever `namespace` says", async () => {
    const rendered = await render(targetOf({ namespace: "said", helm: { releaseNamespace: "release" } }));
    expect([rendered.manifests[0]?.metadata["namespace"], dataOf(rendered)["release"]]).toEqual(["release", "app/release"]);
    const layers = [layerOf({ namespace: "layer" })];
    const overridden = await render(targetOf({ helm: { releaseNamespace: "release" } }, { layers }));
    expect([overridden.manifests[0]?.metadata["namespace"], dataOf(overridden)["release"]]).toEqual(["release", "app/release"]);
  });
});

describe("a chart that asks for capabilities", () => {
  it("sees the last of 4,000 API versions: they are more than Linux takes in one argument", async () => {
    const names = Array.from(
      { length: 4_000 },
      (_, index) => `group-${index}.example-company.com/v1/Kind${String(index).padStart(4, "0")}`,
    );
    expect(names.join().length).toBeGreaterThan(128 * 1024);
    const asking = chart(`${configMap("a")}  last: {{ .Capabilities.APIVersions.Has ${JSON.stringify(names.at(-1))} | quote }}\n`);
    const rendered = await render(targetOf(), asking, { apiVersions: names, clusterScopedKinds: new Set() });
    expect(dataOf(rendered)["last"]).toBe("true");
  });
  it("is refused with the reason, and not as a bug, where no system takes so many", async () => {
    const names = Array.from({ length: 300_000 }, (_, index) => `group-${index}.example-company.com/v1/Kind`);
    const asking = chart(`${configMap("a")}  v: {{ .Capabilities.KubeVersion }}\n`);
    await expect(render(targetOf(), asking, { apiVersions: names, clusterScopedKinds: new Set() })).rejects.toMatchObject({
      code: "RENDER_LIMIT",
      message: expect.stringContaining("arguments"),
    });
  });
});

describe("many targets of one chart at once", () => {
  it("read and search its files once", async () => {
    const snapshot = chart(`${configMap("stampede")}  v: {{ .Release.Name }}\n`);
    const { read } = snapshot;
    // As from a disk: while one waits for it, all others come.
    snapshot.read = async (path) => {
      await nextTurn();
      return await read(path);
    };
    const targets = Array.from({ length: 40 }, (_, index) => targetOf({}, { cluster: `c-${index}` }));
    const results = await Promise.all(targets.map((target) => render(target, snapshot)));
    expect(new Set(results).size).toBe(1);
    // Once for the search, once for helm.
    expect(snapshot.reads.filter((path) => path === "app/templates/a.yaml").length).toBeLessThanOrEqual(2);
  });
});
