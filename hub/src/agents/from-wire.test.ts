import { describe, expect, it } from "vitest";
import { clusterFromWire, exceptionFromWire, inspectionFromWire } from "./from-wire.ts";

const REF = { group: "apps", kind: "Deployment", namespace: "web", name: "podinfo" };
const change = (path: string, more: object = {}) => ({ path, wanted: "", got: "", manager: "", at: "", ...more });
const drift = (fields: readonly ReturnType<typeof change>[]) => ({
  kind: "modified",
  manager: "kubectl-edit",
  at: "",
  paths: fields.map(({ path }) => path),
  fields: [...fields],
});
const read = (fields: readonly ReturnType<typeof change>[]) =>
  exceptionFromWire({ ref: REF, bundle: "a", health: "Current", code: "", message: "", drift: drift(fields) })?.drift;

describe("drift that an agent tells", () => {
  it("has values where the agent tells them, and none where there are none", () => {
    expect(read([change(".spec.replicas", { wanted: "2", got: "5" }), change(".spec.paused", { got: "true", manager: "x" })])).toEqual({
      kind: "modified",
      manager: "kubectl-edit",
      paths: [".spec.replicas", ".spec.paused"],
      fields: [
        { path: ".spec.replicas", wanted: "2", got: "5" },
        { path: ".spec.paused", got: "true", manager: "x" },
      ],
    });
    expect(read([])).not.toHaveProperty("fields");
  });

  it("I11: takes no more room than an honest agent's", () => {
    const long = "x".repeat(100_000);
    const fields = read(Array.from({ length: 100 }, () => change(long, { wanted: long, got: long, manager: long, at: long })))?.fields;
    expect(fields).toHaveLength(10);
    expect(JSON.stringify(fields).length).toBeLessThan(16_000);
  });
});

describe("objects that an agent was asked for", () => {
  it("have the managers that own fields of them, too, as far as there are any", () => {
    const object = { ref: REF, bundle: "a", health: "Current", message: "", uid: "1", lastAction: "", drift: null };
    const owner = { manager: "other", paths: Array.from({ length: 100 }, (_, index) => `.p${index}`) };
    const of = (sharedWith: (typeof owner)[]) =>
      inspectionFromWire({ id: "1", code: "", message: "", objects: [{ ...object, sharedWith }] }).items[0];
    expect(of([])).not.toHaveProperty("sharedWith");
    expect(of(Array(50).fill(owner))?.sharedWith).toHaveLength(10);
    expect(of([owner])?.sharedWith?.[0]?.paths).toHaveLength(20);
  });
});

describe("what an agent says that a bundle waits for", () => {
  const bundle = {
    bundle: "top",
    state: "Pending",
    health: "Unknown",
    applied: "",
    objects: 1,
    drifted: 0,
    failed: 0,
    reason: "",
    message: "",
  };
  const read = (blockedBy: string[]) =>
    clusterFromWire({ seen: null, applied: null, bundles: [{ ...bundle, blockedBy }], heldDeletion: null, sliceProblem: null }).bundles[0];

  it("is taken word for word, and absent where it waits for nothing", () => {
    expect(read(["db: Widget lab/x: object.status.ready", "baseline"])?.blockedBy).toEqual([
      "db: Widget lab/x: object.status.ready",
      "baseline",
    ]);
    expect(read([])).not.toHaveProperty("blockedBy");
  });

  it("I11: takes no more room than an honest agent's", () => {
    const blockedBy = read(Array(1_000).fill("x".repeat(100_000)))?.blockedBy;
    expect([blockedBy?.length, blockedBy?.[0]?.length]).toEqual([20, 500]);
  });
});
