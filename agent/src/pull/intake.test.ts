import { CodedError } from "@muster/shared/errors";
import { systemClock } from "@muster/shared/runtime";
import { silentLogger } from "@muster/shared/telemetry";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { DesiredState } from "./desired-state.ts";
import { createIntake } from "./intake.ts";
import { configMap, createSliceMaker } from "./testing/slice-maker.ts";

let stop = new AbortController();
afterEach(() => stop.abort());

/** `refuses`: true while a slice cannot be kept; `whenTaken`: until then its keeping takes. */
function setUp({
  refuses = () => false,
  whenTaken = async () => {},
}: {
  readonly refuses?: (generation: number) => boolean;
  readonly whenTaken?: (generation: number) => Promise<void>;
} = {}) {
  stop = new AbortController();
  const maker = createSliceMaker();
  const taken: number[] = [];
  const coming: number[] = [];
  const kept: ReadonlyMap<string, Uint8Array>[] = [];
  let current: DesiredState | undefined;
  const intake = createIntake({
    identity: { cluster: "c1", trustDomain: "muster.local" },
    pinned: [maker.publicKey],
    fetchBlob: maker.fetchBlob,
    current: () => current,
    coming: (slice) => void coming.push(slice.generation),
    take: async (desired, fetched) => {
      await whenTaken(desired.slice.generation);
      if (refuses(desired.slice.generation)) throw new CodedError("AGENT_STATE", "cannot be written");
      kept.push(fetched);
      current = desired;
      taken.push(desired.slice.generation);
    },
    clock: systemClock,
    random: () => 0,
    logger: silentLogger(),
    failpoint: () => {},
  });
  void intake.run(stop.signal);
  return { maker, intake, taken, coming, kept, current: () => current };
}

describe("a slice that is to come", () => {
  it("is told of at once, while another one is still being kept, and before its own manifest sets are there", async () => {
    const goOn = Promise.withResolvers<void>();
    const { maker, intake, taken, coming } = setUp({ whenTaken: () => goOn.promise });
    intake.offer(maker.make([{ name: "a", objects: [configMap("x")] }]).message);
    await vi.waitFor(() => expect(coming).toEqual([1]));
    const second = maker.make([{ name: "a", objects: [configMap("y")] }]);
    maker.blobs.clear();
    intake.offer(second.message);
    intake.offer(second.message);
    expect([coming, taken]).toEqual([[1, 2], []]);
    goOn.resolve();
    await vi.waitFor(() => expect(coming.slice(0, 3)).toEqual([1, 2, 2]));
    expect(taken).toEqual([1]);
  });

  it("is not told of if it is forged, or older than what was taken", async () => {
    const goOn = Promise.withResolvers<void>();
    const { maker, intake, taken, coming } = setUp({ whenTaken: (generation) => (generation === 3 ? goOn.promise : Promise.resolve()) });
    const first = maker.make([{ name: "a", objects: [configMap("x")] }]);
    intake.offer(maker.make([{ name: "a", objects: [configMap("x", "2")] }]).message);
    await vi.waitFor(() => expect(taken).toEqual([2]));
    intake.offer(maker.make([{ name: "a", objects: [configMap("x", "3")] }]).message);
    await vi.waitFor(() => expect(coming).toEqual([2, 3]));
    intake.offer(first.message);
    intake.offer(createSliceMaker().make([{ name: "a", objects: [] }], { generation: 9, paused: true }).message);
    intake.offer("no slice");
    expect(coming).toEqual([2, 3]);
    goOn.resolve();
    await vi.waitFor(() => expect(taken).toEqual([2, 3]));
  });
});

describe("intake", () => {
  it("takes a good slice once, however often it arrives", async () => {
    const { maker, intake, taken } = setUp();
    const { message } = maker.make([{ name: "a", objects: [configMap("x")] }]);
    intake.offer(message);
    await vi.waitFor(() => expect(taken).toEqual([1]));
    intake.offer(message);
    intake.offer(maker.make([]).message);
    await vi.waitFor(() => expect(taken).toEqual([1, 2]));
    expect(intake.highWater?.generation).toBe(2);
  });

  it("E207, S: forged, foreign, malformed and older messages are refused and said, and the next good one clears it", async () => {
    const { maker, intake, taken } = setUp();
    const forged = createSliceMaker().make([]).message;
    const cases: [string, string][] = [
      [forged, "SLICE_SIGNATURE"],
      ["{", "SLICE_MALFORMED"],
      [maker.make([], { cluster: "c2" }).message, "SLICE_FOREIGN"],
    ];
    for (const [message, code] of cases) {
      intake.offer(message);
      await vi.waitFor(() => expect(intake.problem?.code).toBe(code));
    }
    intake.offer(maker.make([]).message);
    await vi.waitFor(() => expect(intake.problem).toBeUndefined());
    expect(taken).toHaveLength(1);
  });

  it("E110: a bundle that a slice keeps is as it was in the slice before, though that one was never in force because it could not be kept", async () => {
    const { maker, intake, taken, kept, current } = setUp({ refuses: (generation) => generation === 2 });
    const x = (value: string) => [
      { name: "a", objects: [configMap("x", value)] },
      { name: "b", objects: [] },
    ];
    intake.offer(maker.make(x("1")).message);
    await vi.waitFor(() => expect(taken).toEqual([1]));
    const second = maker.make(x("2"));
    intake.offer(second.message);
    await vi.waitFor(() => expect(intake.problem?.code).toBe("AGENT_STATE"));
    intake.offer(maker.make([{ name: "a" }, { name: "b", objects: [] }]).message);
    await vi.waitFor(() => expect(taken).toEqual([1, 3]));
    expect(
      current()
        ?.bundles.get("a")
        ?.map(({ manifest }) => manifest["data"]),
    ).toEqual([{ value: "2" }]);
    expect(current()?.kept.get("a")?.message).toBe(second.message);
    // What was fetched for the one before is kept with this one.
    const blob = second.slice.bundles.flatMap((bundle) =>
      bundle.state === "desired" && bundle.name === "a" ? bundle.manifestSet.blob : [],
    );
    expect([...(kept.at(-1)?.keys() ?? [])]).toEqual(expect.arrayContaining(blob));
  });

  it("I2: once a slice may be kept in part, no older one is taken, whoever says it again", async () => {
    let refused = true;
    const { maker, intake, taken } = setUp({ refuses: (generation) => generation === 2 && refused });
    const first = maker.make([]);
    const second = maker.make([]);
    intake.offer(second.message);
    await vi.waitFor(() => expect(intake.problem?.code).toBe("AGENT_STATE"));
    for (let count = 0; count < 5; count++) {
      intake.offer(first.message);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(taken).toEqual([]);
    refused = false;
    await vi.waitFor(() => expect(taken).toEqual([2]), { timeout: 20_000 });
  });

  it("E205: one old slice is nothing, a series of them is shown", async () => {
    const { maker, intake } = setUp();
    const old = maker.make([]).message;
    intake.offer(maker.make([]).message);
    await vi.waitFor(() => expect(intake.highWater?.generation).toBe(2));
    intake.offer(old);
    await new Promise((resolve) => setImmediate(resolve));
    expect(intake.problem).toBeUndefined();
    for (let count = 0; count < 5; count++) {
      intake.offer(old);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(intake.problem?.code).toBe("SLICE_STALE");
  });

  it("D3: equivocation is said, and only a higher generation ends it", async () => {
    const { maker, intake, taken } = setUp();
    intake.offer(maker.make([]).message);
    await vi.waitFor(() => expect(taken).toEqual([1]));
    intake.offer(maker.make([{ name: "a", objects: [configMap("x")] }], { generation: 1 }).message);
    await vi.waitFor(() => expect(intake.problem?.code).toBe("SLICE_EQUIVOCATION"));
    expect(taken).toEqual([1]);
    intake.offer(maker.make([], { generation: 2 }).message);
    await vi.waitFor(() => expect(taken).toEqual([1, 2]));
  });

  it("a slice whose blob is missing waits for it, and a worse message in between does not displace it", async () => {
    const { maker, intake, taken } = setUp();
    const old = maker.make([], { generation: 1 }).message;
    intake.offer(maker.make([], { generation: 2 }).message);
    await vi.waitFor(() => expect(taken).toEqual([2]), { timeout: 20_000 });
    const { message } = maker.make([{ name: "a", objects: [configMap("x")] }]);
    const [blob, bytes] = [...maker.blobs].at(-1)!;
    maker.blobs.delete(blob);
    intake.offer(message);
    await vi.waitFor(() => expect(intake.problem?.code).toBe("BLOB_MISSING"));
    intake.offer(old);
    maker.blobs.set(blob, bytes);
    await vi.waitFor(() => expect(taken).toEqual([2, 3]), { timeout: 3_000 });
    expect(intake.problem).toBeUndefined();
  });
});
