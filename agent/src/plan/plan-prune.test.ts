import { DEFAULT_DELETION_BUDGET, formatObjectRef, type ObjectRefText, type Slice, type SliceBundle } from "@muster/shared/model";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Inventory, InventoryEntry } from "./inventory.ts";
import { formatInventory, parseInventory } from "./inventory.ts";
import { planPrune } from "./plan-prune.ts";

const map = (name: string, namespace = "web"): ObjectRefText => formatObjectRef({ group: "", kind: "ConfigMap", namespace, name });
const namespaceRef = (name: string): ObjectRefText => formatObjectRef({ group: "", kind: "Namespace", namespace: "", name });

const inventoryOf = (entries: readonly Partial<InventoryEntry>[], rebuilt = false): Inventory => ({
  entries: new Map(entries.map((entry) => [entry.ref ?? "", { bundle: "a", uid: `u-${entry.ref}`, ...entry } as InventoryEntry])),
  applied: new Map(),
  bundles: new Map(),
  rebuilt,
});
const desired = (name: string, objects: readonly ObjectRefText[], prune = true): SliceBundle => ({
  name,
  state: "desired",
  objects,
  manifestSet: { digest: "sha256:x", blob: "x", chunks: 1, bytes: 1 },
  options: { drift: { mode: "correct", ignore: [] }, prune, createNamespace: false, dependsOn: [] },
});
const slice = (bundles: readonly SliceBundle[], more: Partial<Slice> = {}): Slice => ({
  version: 1,
  trustDomain: "t",
  cluster: "c",
  epoch: 1,
  generation: 2,
  commits: [],
  paused: false,
  deletionBudget: DEFAULT_DELETION_BUDGET,
  approvedDeletions: [],
  bundles,
  ...more,
});
const plan = (inventory: Inventory, wanted: Slice) => planPrune(inventory, wanted, "muster-system");
const refs = (entries: readonly InventoryEntry[]) => entries.map((entry) => entry.ref);

describe("prune", () => {
  it("I3: deletes what is in the inventory and not in the slice, and nothing else", () => {
    const anyRef = fc.constantFrom(...Array.from({ length: 12 }, (_, index) => map(`m${index}`)));
    fc.assert(
      fc.property(fc.uniqueArray(anyRef), fc.uniqueArray(anyRef), (owned, wanted) => {
        const { deletions } = plan(inventoryOf(owned.map((ref) => ({ ref }))), slice([desired("a", wanted)]));
        const expected = owned.filter((ref) => !wanted.includes(ref));
        for (const ref of refs(deletions)) expect(expected).toContain(ref);
        if (expected.length <= 10 && wanted.length > 0) expect(refs(deletions).sort()).toEqual(expected.sort());
      }),
    );
  });

  it("E078: an object that moved to another bundle is not deleted", () => {
    expect(plan(inventoryOf([{ ref: map("x"), bundle: "old" }]), slice([desired("new", [map("x")])])).deletions).toEqual([]);
  });

  it("I4: nothing of a kept bundle is deleted", () => {
    const kept: SliceBundle = { name: "a", state: "keep", reason: "RENDER_HELM" };
    const result = plan(inventoryOf([{ ref: map("x") }]), slice([kept]));
    expect([result.deletions, result.released, result.held]).toEqual([[], [], undefined]);
  });

  it("E053: an object that is wanted under another ref is not deleted: nor by its UID, nor because its kind lives in no namespace", () => {
    const widget = (namespace: string, name = "w") => formatObjectRef({ group: "x.io", kind: "Widget", namespace, name });
    const wanted = (ref: ObjectRefText) => slice([desired("a", [ref, map("y")])]);
    const planned = (entries: readonly Partial<InventoryEntry>[], ref: ObjectRefText) => {
      const { deletions, released, renamed } = plan(inventoryOf(entries), wanted(ref));
      return [refs(deletions), refs(released), renamed];
    };
    // The hub has learned that widgets are cluster-scoped, and (after it has forgotten) the other way round.
    expect(planned([{ ref: widget("web") }], widget(""))).toEqual([[], [], [widget("web")]]);
    expect(planned([{ ref: widget("") }], widget("web"))).toEqual([[], [], [widget("")]]);
    // The bundle's namespace has changed meanwhile.
    const [old, now] = [widget("web"), widget("shop")];
    expect(
      planned(
        [
          { ref: old, uid: "u" },
          { ref: now, uid: "u" },
        ],
        now,
      ),
    ).toEqual([[], [], [old]]);
    expect(planned([{ ref: old }, { ref: now }], now)).toEqual([[old], [], []]);
    expect(planned([{ ref: widget("web", "other") }], widget(""))).toEqual([[widget("web", "other")], [], []]);
  });

  it("E078: what the slice retains is not deleted", () => {
    expect(
      plan(inventoryOf([{ ref: map("x") }, { ref: map("y") }]), slice([desired("a", [map("y")])], { retained: [map("x")] })).deletions,
    ).toEqual([]);
  });

  it("E070: an empty slice is held, however few objects there are", () => {
    const result = plan(inventoryOf([{ ref: map("x") }]), slice([]));
    expect(result.deletions).toEqual([]);
    expect(result.held).toMatchObject({ objects: 1, id: expect.stringMatching(/^del-/) });
  });

  it("E070: a slice is empty when it has no object, whatever bundles it names and whatever else the inventory holds", () => {
    const owned = [{ ref: map("x") }, { ref: map("y") }];
    for (const others of [[], [{ ref: map("k", "kube-system") }], [{ ref: map("o"), orphan: true as const }]]) {
      for (const bundles of [[], [desired("a", [])]]) {
        const result = plan(inventoryOf([...owned, ...others]), slice(bundles));
        expect(result.deletions).toEqual([]);
        expect(refs(result.heldEntries).sort()).toEqual([map("x"), map("y")]);
      }
    }
  });

  it("E078: while a bundle is kept nothing leaves the cluster, because it may have moved into that bundle", () => {
    const kept: SliceBundle = { name: "b", state: "keep", reason: "RENDER_HELM" };
    const result = plan(
      inventoryOf([{ ref: map("x") }, { ref: map("y") }, { ref: map("o"), orphan: true }]),
      slice([desired("a", [map("y")]), kept]),
    );
    expect([result.deletions, result.released, result.held]).toEqual([[], [], undefined]);
  });

  it("I3, I4: whatever the slice, what is deleted is inventoried, not desired, not protected, and within budget or approved", () => {
    const names = Array.from({ length: 80 }, (_, index) => index);
    const any = fc.record({
      owned: fc.uniqueArray(fc.constantFrom(...names), { maxLength: 80 }),
      wanted: fc.uniqueArray(fc.constantFrom(...names), { maxLength: 80 }),
      kept: fc.boolean(),
      budget: fc.record({ objects: fc.integer({ min: 0, max: 60 }), percent: fc.integer({ min: 0, max: 100 }) }),
    });
    const place = (index: number) =>
      index % 10 === 0 ? map(`m${index}`, "kube-system") : index % 7 === 0 ? namespaceRef(`n${index}`) : map(`m${index}`);
    fc.assert(
      fc.property(any, ({ owned, wanted, kept, budget }) => {
        const inventory = inventoryOf(owned.map((index) => ({ ref: place(index) })));
        const bundles: SliceBundle[] = [
          desired("a", wanted.map(place)),
          ...(kept ? [{ name: "k", state: "keep" as const, reason: "X" }] : []),
        ];
        const { deletions } = plan(inventory, slice(bundles, { deletionBudget: budget }));
        expect(deletions.length).toBeLessThanOrEqual(budget.objects);
        if (kept || wanted.length === 0) expect(deletions).toEqual([]);
        for (const { ref } of deletions) {
          expect(inventory.entries.has(ref)).toBe(true);
          expect(wanted.map(place)).not.toContain(ref);
          expect(ref).not.toMatch(/^kube-system_|_Namespace$/);
        }
      }),
    );
  });

  it("E102: more deletions than the budget are held, and go once just they are approved in Git", () => {
    const owned = Array.from({ length: 60 }, (_, index) => map(`m${index}`));
    const inventory = inventoryOf(owned.map((ref) => ({ ref })));
    const wanted = [desired("a", owned.slice(0, 5))];
    const held = plan(inventory, slice(wanted));
    expect(held.deletions).toEqual([]);
    expect(held.heldEntries).toHaveLength(55);
    const approved = plan(inventory, slice(wanted, { approvedDeletions: [held.held?.id ?? ""] }));
    expect(approved.deletions).toHaveLength(55);
    expect(plan(inventory, slice([desired("a", owned.slice(0, 4))], { approvedDeletions: [held.held?.id ?? ""] })).deletions).toEqual([]);
  });

  it("an approval that a crash interrupted goes on for the objects it was given for", () => {
    const owned = Array.from({ length: 60 }, (_, index) => map(`m${index}`));
    const inventory = inventoryOf(owned.map((ref) => ({ ref, approved: true })));
    expect(plan(inventory, slice([desired("a", owned.slice(0, 5))])).deletions).toHaveLength(55);
  });

  it("a share counts only once there are more than a few deletions", () => {
    const inventory = inventoryOf([{ ref: map("a") }, { ref: map("b") }, { ref: map("c") }]);
    expect(plan(inventory, slice([desired("a", [map("a")])])).deletions).toHaveLength(2);
  });

  it("E082, E084: a namespace waits for an approval while ordinary objects go", () => {
    const inventory = inventoryOf([{ ref: namespaceRef("web") }, { ref: map("x") }, { ref: map("y") }]);
    const result = plan(inventory, slice([desired("a", [map("y")])]));
    expect(refs(result.deletions)).toEqual([map("x")]);
    expect(refs(result.heldEntries)).toEqual([namespaceRef("web")]);
    const approved = plan(inventory, slice([desired("a", [map("y")])], { approvedDeletions: [result.held?.id ?? ""] }));
    expect(refs(approved.deletions)).toEqual([map("x"), namespaceRef("web")]);
  });

  it("E083: system namespaces and the agent's own are never deleted, not even with an approval", () => {
    const guarded = [
      namespaceRef("default"),
      namespaceRef("kube-system"),
      namespaceRef("muster-system"),
      map("x", "muster-system"),
      map("y", "kube-system"),
    ];
    const result = plan(inventoryOf(guarded.map((ref) => ({ ref }))), slice([desired("a", [])]));
    expect(result.deletions).toEqual([]);
    expect([...result.protected].sort()).toEqual([...guarded].sort());
  });

  it("E081: objects of a bundle that does not prune are released, also when the bundle is gone", () => {
    expect(refs(plan(inventoryOf([{ ref: map("x") }]), slice([desired("a", [], false)])).released)).toEqual([map("x")]);
    const gone = plan(inventoryOf([{ ref: map("x"), orphan: true }, { ref: map("y") }]), slice([desired("b", [map("y")])]));
    expect(refs(gone.released)).toEqual([map("x")]);
  });

  it("E096, E100: nothing is pruned while paused, nor from a rebuilt inventory", () => {
    expect(plan(inventoryOf([{ ref: map("x") }]), slice([desired("a", [])], { paused: true })).deletions).toEqual([]);
    expect(plan(inventoryOf([{ ref: map("x") }], true), slice([desired("a", [])])).deletions).toEqual([]);
  });

  it("E012: dependents go before what they depend on", () => {
    const role = formatObjectRef({ group: "rbac.authorization.k8s.io", kind: "Role", namespace: "web", name: "r" });
    const binding = formatObjectRef({ group: "rbac.authorization.k8s.io", kind: "RoleBinding", namespace: "web", name: "r" });
    const hook = formatObjectRef({
      group: "admissionregistration.k8s.io",
      kind: "ValidatingWebhookConfiguration",
      namespace: "",
      name: "h",
    });
    const result = plan(
      inventoryOf([{ ref: role }, { ref: hook }, { ref: binding }, { ref: map("keep") }]),
      slice([desired("a", [map("keep")])]),
    );
    expect(refs(result.deletions)).toEqual([hook, binding, role]);
  });

  it("the inventory survives its text form, and damage is never an empty inventory", () => {
    const inventory = inventoryOf([{ ref: map("x"), orphan: true }]);
    expect(parseInventory(formatInventory(inventory))).toEqual(inventory);
    for (const bad of ["", "{}", "null", '{"version":2,"entries":[],"applied":{}}']) expect(() => parseInventory(bad)).toThrow();
  });
});
