import { CodedError } from "@muster/shared/errors";
import type { Manifest } from "@muster/shared/model";
import { describe, expect, it } from "vitest";
import { snapshotOf, targetOf } from "../../test/fixtures/render/targets.ts";
import type { Target } from "./fleet/model.ts";
import type { RenderedTarget, Renderer } from "./render/renderer.ts";
import { createTargetRenderer } from "./render-targets.ts";

const MAP: Manifest = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a", namespace: "a" } };
const RENDERED: RenderedTarget = { manifests: [MAP], origins: ["app/a.yaml"], notices: [] };
const SNAPSHOTS = new Map([["fleet", snapshotOf({ "app/a.yaml": "" })]]);
const signal = new AbortController().signal;

/** Renders `targets` with a renderer that does what the test says. */
function render(targets: readonly Target[], renderer: Renderer["render"], snapshots: typeof SNAPSHOTS = SNAPSHOTS) {
  const all = createTargetRenderer({
    renderer: { render: renderer },
    capabilitiesOf: () => ({ apiVersions: [], clusterScopedKinds: new Set() }),
    monotonicMs: () => 0,
  });
  return all.render(targets, snapshots, signal);
}
const [one, two] = [targetOf({}, { cluster: "one" }), targetOf({}, { cluster: "two" })];

describe("rendering the fleet", () => {
  it("I15: one target's failure, or one source's, is its own", async () => {
    const elsewhere = targetOf({ source: "other" });
    const { outcomes, sets } = await render([one, two, elsewhere], async (target) => {
      if (target === two) throw new CodedError("VARIABLE_UNSET", "X has no value", { at: { file: "a.yaml", line: 3 } });
      return RENDERED;
    });
    expect(outcomes).toMatchObject([
      { target: one, set: { ref: { chunks: 1 } } },
      { target: two, error: { code: "VARIABLE_UNSET", message: "app/a.yaml:3: X has no value" } },
      { target: elsewhere, error: { code: "SOURCE_UNREACHABLE" } },
    ]);
    expect(sets.size).toBe(1);
  });

  it("says where in the source a mistake is, whichever way the renderer named the file", async () => {
    const messages = await Promise.all(
      ["templates/a.yaml", "app/templates/a.yaml", "app"].map(async (file) => {
        const { outcomes } = await render([one], () => Promise.reject(new CodedError("YAML_SYNTAX", "no", { at: { file } })));
        return outcomes.map((outcome) => "error" in outcome && outcome.error.message);
      }),
    );
    expect(messages).toEqual([["app/templates/a.yaml: no"], ["app/templates/a.yaml: no"], ["app: no"]]);
  });

  it("takes a bug of a renderer as that target's failure, and no object as one, too: nothing is never rendered", async () => {
    const { outcomes } = await render([one, two], async (target) => {
      if (target === one) throw new TypeError("a bug");
      return { ...RENDERED, manifests: [] };
    });
    expect(outcomes).toMatchObject([{ error: { code: "INTERNAL" } }, { error: { code: "BUNDLE_EMPTY" } }]);
  });

  it("encodes what was rendered once for all clusters that share it", async () => {
    const { outcomes } = await render([one, two], async () => RENDERED);
    const [first, second] = outcomes.map((outcome) => ("set" in outcome ? outcome.set : undefined));
    expect(first).toBeDefined();
    expect(second).toBe(first);
  });

  it("gives notices under the target's name", async () => {
    const notice = { type: "HelmHookSkipped", message: "a hook" } as const;
    const { notices } = await render([one, two], async (target) => (target === one ? { ...RENDERED, notices: [notice] } : RENDERED));
    expect([...notices]).toEqual([["app/one", [notice]]]);
  });

  it("that is called off is no failure of a target", async () => {
    const controller = new AbortController();
    const all = createTargetRenderer({
      renderer: { render: async () => controller.abort() as never },
      capabilitiesOf: () => ({ apiVersions: [], clusterScopedKinds: new Set() }),
      monotonicMs: () => 0,
    });
    await expect(all.render([one], SNAPSHOTS, controller.signal)).rejects.toThrow();
  });
});
