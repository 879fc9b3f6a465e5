import { compilePredicate } from "@muster/shared/expression";
import type { BundleOptions, DriftIgnore } from "@muster/shared/model";
import { describe, expect, test } from "vitest";
import { optionsOf } from "./bundle-options.ts";
import { BUNDLE_SCHEMA, FLEET_SCHEMA } from "./document-schemas.ts";
import { IGNORE_PRESETS } from "./ignore-presets.ts";

const API = { apiVersion: "muster.dev/v1alpha1" } as const;

function options(spec: object, defaults?: object): BundleOptions {
  const bundle = BUNDLE_SCHEMA.parse({ ...API, kind: "Bundle", metadata: { name: "app" }, spec: { targets: [{ all: true }], ...spec } });
  const fleet = FLEET_SCHEMA.parse({ ...API, kind: "Fleet", metadata: { name: "acme" }, ...(defaults && { spec: { defaults } }) });
  return optionsOf(bundle.spec, fleet.spec?.defaults);
}

describe("options of a bundle", () => {
  test("what nobody says stands in no slice, so that an older agent understands it", () => {
    expect(options({})).toEqual({ drift: { mode: "correct", ignore: [] }, prune: true, createNamespace: false, dependsOn: [] });
    expect(options({ paused: false, adoption: "ifUnowned", deletion: { onRemoval: "delete" } })).toEqual(options({}));
  });

  test("a bundle says it, else the fleet's defaults do", () => {
    const defaults = { adoption: "never", drift: { mode: "report" }, deletion: { prune: false, onRemoval: "orphan" } };
    expect(options({}, defaults)).toMatchObject({ adoption: "never", drift: { mode: "report" }, prune: false, onRemoval: "orphan" });
    const own = { adoption: "ifUnowned", drift: { mode: "off" }, deletion: { prune: true, onRemoval: "delete" } };
    expect(options(own, defaults)).toEqual({ ...options({}), drift: { mode: "off", ignore: [] } });
  });

  test("drift mode off may stand there without quotes, which YAML reads as false", () => {
    expect(options({ drift: { mode: false } }).drift.mode).toBe("off");
    expect(options({}, { drift: { mode: false } }).drift.mode).toBe("off");
    expect(options({ drift: { mode: "report" } }, { drift: { mode: false } }).drift.mode).toBe("report");
    expect(() => options({ drift: { mode: true } })).toThrow("Invalid");
  });

  test("rules of readiness name the bundle that they are about", () => {
    const ready = [{ group: "apps", kind: "Deployment", expression: "object.status.readyReplicas > 0" }];
    expect(options({ dependsOn: [{ bundle: "db", ready }, { bundle: "net" }] })).toMatchObject({
      dependsOn: ["db", "net"],
      ready: [{ bundle: "db", ...ready[0] }],
    });
  });

  test("a bundle's rule of health comes before the fleet's for the same kind", () => {
    const rule = (current: string) => ({ group: "acme.io", kind: "Widget", current });
    expect(options({ health: [rule("true")] }, { health: [rule("false")] }).health).toEqual([rule("true"), rule("false")]);
  });
});

describe("what drift ignores", () => {
  test("a preset stands for its rules, narrowed down to a namespace or a name", () => {
    expect(options({ drift: { ignore: [{ preset: "hpaReplicas", namespace: "web" }] } }).drift.ignore).toEqual(
      ["Deployment", "StatefulSet", "ReplicaSet"].map((kind) => ({
        namespace: "web",
        group: "apps",
        kind,
        paths: ["/spec/replicas"],
        managers: ["kube-controller-manager"],
      })),
    );
  });

  test("the conditions of presets are such as an agent can read", () => {
    const rules: readonly DriftIgnore[] = Object.values(IGNORE_PRESETS).flat();
    const conditions = rules.flatMap(({ when }) => when ?? []);
    expect(conditions.map((text) => compilePredicate(text).evaluate({ aggregationRule: {} }))).toEqual([true]);
  });

  test("a rule says fields by path, by manager, or both, and under which condition", () => {
    const rules = [{ paths: ["/data"] }, { managers: ["vpa"], kind: "Deployment" }, { when: "has(object.data)", paths: ["/data"] }];
    expect(options({ drift: { ignore: rules } }).drift.ignore).toEqual([rules[0], { ...rules[1], paths: [] }, rules[2]]);
  });

  test.each([
    [{}, "says neither a preset nor paths nor managers"],
    [{ preset: "hpaReplicas", kind: "Deployment" }, "a preset says itself which kinds"],
    [{ preset: "everything" }, "Invalid option"],
    [{ paths: ["spec/replicas"] }, "is no JSON pointer"],
  ])("%j is refused", (rule, why) => {
    expect(() => options({ drift: { ignore: [rule] } })).toThrow(why);
  });
});
