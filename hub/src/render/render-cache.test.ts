import { CodedError, type ErrorCode } from "@muster/shared/errors";
import { type Clock, systemClock } from "@muster/shared/runtime";
import { describe, expect, it } from "vitest";
import { RenderCache } from "./render-cache.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** How often a render that always fails with this code is run, when it is asked for at these times. */
async function runsOf(code: ErrorCode, timesMs: readonly number[]): Promise<number> {
  let nowMs = 0;
  let runs = 0;
  const clock: Clock = { ...systemClock, monotonicMs: () => nowMs };
  const cache = new RenderCache(1_000_000, clock);
  const run = async () => {
    runs += 1;
    throw new CodedError(code, "no");
  };
  for (const timeMs of timesMs) {
    nowMs = timeMs;
    await expect(cache.render({ key: "k", run })).rejects.toMatchObject({ code });
  }
  return runs;
}

describe("a render that failed", () => {
  it.each<ErrorCode>(["RENDER_HELM", "RENDER_KUSTOMIZE", "RENDER_NONDETERMINISTIC"])(
    "with %s is tried again after an hour: the tool's disk may have been full",
    async (code) => {
      expect(await runsOf(code, [0, MINUTE_MS, HOUR_MS - 1])).toBe(1);
      expect(await runsOf(code, [0, HOUR_MS, HOUR_MS + 1])).toBe(2);
    },
  );
  it.each<ErrorCode>(["RENDER_TIMEOUT", "RENDER_LIMIT"])("with %s is tried again after a minute", async (code) => {
    expect(await runsOf(code, [0, MINUTE_MS - 1])).toBe(1);
    expect(await runsOf(code, [0, MINUTE_MS])).toBe(2);
  });
  it.each<ErrorCode>(["RENDER_SANDBOX", "RENDER_TOOL_MISSING", "INTERNAL"])("with %s is tried again each time", async (code) => {
    expect(await runsOf(code, [0, 0, 1])).toBe(3);
  });
  it.each<ErrorCode>(["YAML_SYNTAX", "YAML_LIMIT", "RENDER_REMOTE", "OBJECT_INVALID"])(
    "with %s is not tried again: the input says so",
    async (code) => {
      expect(await runsOf(code, [0, HOUR_MS, 1_000 * HOUR_MS])).toBe(1);
    },
  );
});
