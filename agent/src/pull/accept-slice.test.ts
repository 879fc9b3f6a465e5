import { CodedError } from "@muster/shared/errors";
import { compareGenerations, type Digest, type Generation } from "@muster/shared/model";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { acceptSlice, type HighWater } from "./accept-slice.ts";
import { createSliceMaker } from "./testing/slice-maker.ts";

const identity = { cluster: "c1", trustDomain: "muster.local" };
const { slice } = createSliceMaker().make([]);
const digest = (text: string): Digest => `sha256:${text}`;
const mark = (epoch: number, generation: number, text = "a"): HighWater => ({ epoch, generation, digest: digest(text) });
const codeOf = (act: () => unknown): string => {
  try {
    return String(act());
  } catch (error) {
    return CodedError.from(error).code;
  }
};

describe("acceptance", () => {
  it("S: a slice of another cluster or trust domain is refused, and names are compared whole", () => {
    for (const other of [{ cluster: "c" }, { cluster: "c11" }, { trustDomain: "muster" }, { trustDomain: "muster.local.evil" }]) {
      expect(codeOf(() => acceptSlice({ ...slice, ...other }, digest("a"), undefined, identity))).toBe("SLICE_FOREIGN");
    }
    expect(acceptSlice(slice, digest("a"), undefined, identity)).toBe("new");
  });

  it("the epoch orders before the generation", () => {
    expect(acceptSlice({ ...slice, epoch: 2, generation: 1 }, digest("b"), mark(1, 900), identity)).toBe("new");
    expect(codeOf(() => acceptSlice({ ...slice, epoch: 1, generation: 901 }, digest("b"), mark(2, 1), identity))).toBe("SLICE_STALE");
  });

  it("D3: one generation with two contents is equivocation; the same content again is no news", () => {
    expect(acceptSlice({ ...slice, epoch: 1, generation: 7 }, digest("a"), mark(1, 7), identity)).toBe("same");
    expect(codeOf(() => acceptSlice({ ...slice, epoch: 1, generation: 7 }, digest("b"), mark(1, 7), identity))).toBe("SLICE_EQUIVOCATION");
  });

  it("I2: whatever arrives in whatever order, what is taken never goes back", () => {
    const message = fc.record({
      epoch: fc.integer({ min: 1, max: 3 }),
      generation: fc.integer({ min: 1, max: 5 }),
      text: fc.constantFrom("a", "b"),
    });
    fc.assert(
      fc.property(fc.array(message), (messages) => {
        let taken: HighWater | undefined;
        const history: Generation[] = [];
        for (const { epoch, generation, text } of messages) {
          const verdict = codeOf(() => acceptSlice({ ...slice, epoch, generation }, digest(text), taken, identity));
          if (verdict !== "new") continue;
          taken = mark(epoch, generation, text);
          history.push(taken);
        }
        for (const [index, later] of history.slice(1).entries()) expect(compareGenerations(later, history[index]!)).toBeGreaterThan(0);
      }),
    );
  });
});
