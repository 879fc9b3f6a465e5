import { type Digest, DriftMode } from "@muster/shared/model";
import { describe, expect, it } from "vitest";
import { EMPTY_INVENTORY, type InventoryEntry } from "../plan/inventory.ts";
import { completeSlice } from "../pull/desired-state.ts";
import { configMap, createSliceMaker, type MadeBundle } from "../pull/testing/slice-maker.ts";
import { claimObjects } from "./claim-objects.ts";

const maker = createSliceMaker();
const REF = "web_x__ConfigMap" as const;
const DIGEST: Digest = `sha256:${"0".repeat(64)}`;

async function claimed(
  known: Partial<InventoryEntry>,
  options: MadeBundle["options"] = {},
  mode: DriftMode = DriftMode.Correct,
): Promise<InventoryEntry | undefined> {
  const made = maker.make([{ name: "a", objects: [configMap("x")], options }]);
  const desired = await completeSlice({ ...made, before: undefined, fetchBlob: maker.fetchBlob });
  const inventory = { ...EMPTY_INVENTORY, entries: new Map([[REF, { ref: REF, bundle: "a", uid: "u1", ...known }]]) };
  return claimObjects(inventory, desired, { linesOf: (bundle) => desired.bundles.get(bundle) ?? [], modeOf: () => mode })?.entries.get(REF);
}

async function digestOfX(): Promise<Digest> {
  const made = maker.make([{ name: "a", objects: [configMap("x")] }]);
  const desired = await completeSlice({ ...made, before: undefined, fetchBlob: maker.fetchBlob });
  return desired.bundles.get("a")?.[0]?.digest ?? DIGEST;
}

describe("the claim of an object that the inventory has", () => {
  it("changes nothing where the inventory says the same already", async () => {
    expect(await claimed({})).toBeUndefined();
  });

  it("E132: changes what becomes of it, and not that it has run, nor what it was applied as", async () => {
    const past = { finished: DIGEST, applied: await digestOfX() };
    expect(await claimed(past, { prune: false })).toEqual({ ref: REF, bundle: "a", uid: "u1", orphan: true, ...past });
  });

  it("of one that is to become another, or was another bundle's, nothing is known until it is applied", async () => {
    expect(await claimed({ applied: DIGEST })).toEqual({ ref: REF, bundle: "a", uid: "u1", applied: "unsure" });
    const moved = { ref: REF, bundle: "a", uid: "u1", applied: "unsure" };
    expect(await claimed({ bundle: "b", applied: await digestOfX() })).toEqual({ ...moved, was: ["b"] });
    expect(await claimed({ bundle: "b", was: ["c"] })).toEqual({ ...moved, was: ["c", "b"] });
    expect(await claimed({ bundle: "b", was: ["a", "b"] })).toEqual({ ...moved, was: ["b"] });
    expect(await claimed({ applied: await digestOfX() })).toBeUndefined();
  });

  it("nor is it of one whose drift was corrected until now, and is only reported from now on", async () => {
    expect(await claimed({}, {}, DriftMode.Report)).toEqual({ ref: REF, bundle: "a", uid: "u1", applied: "unsure" });
  });

  it("in a pause an object becomes nothing, and stays known as what it was applied as", async () => {
    const known = { ref: REF, bundle: "a", uid: "u1" };
    expect(await claimed({ applied: DIGEST }, { paused: true }, DriftMode.Report)).toEqual({ ...known, applied: DIGEST });
    expect(await claimed({}, { paused: true }, DriftMode.Report)).toEqual(known);
  });

  it("forgets that its deletion was approved, and that it was only found", async () => {
    expect(await claimed({ approved: true, found: true })).toEqual({ ref: REF, bundle: "a", uid: "u1" });
  });
});
