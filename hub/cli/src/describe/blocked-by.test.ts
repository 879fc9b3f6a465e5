import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApi } from "../../../src/api/create-api.ts";
import { createSampleFleet } from "../testing/sample-fleet.ts";
import { type SampleHub, startSampleHub } from "../testing/sample-hub.ts";

const BLOCKED_BY = ["db: Widget lab/x: object.status.ready", "baseline"];

let hub: SampleHub;
beforeAll(async () => {
  const sample = createSampleFleet();
  const isBlocked = ({ bundle, cluster }: { bundle: string; cluster: string }) => bundle === "guestbook" && cluster === "eu-west-1";
  sample.targets = sample.targets.map((one) => (isBlocked(one) ? { ...one, blockedBy: BLOCKED_BY } : one));
  sample.bundles = sample.bundles.map((one) => (one.name === "guestbook" ? { ...one, blockedBy: BLOCKED_BY } : one));
  hub = await startSampleHub(createApi, sample);
});
afterAll(async () => hub.close());

const printed = async (...argv: string[]) => (await hub.muster(argv)).out;
const LINE = /^ {2}Blocked by +db: Widget lab\/x: object\.status\.ready; baseline$/m;
const COLUMN = "db: Widget lab/x: object.status.ready; baseline";

describe("what a bundle waits for", () => {
  it("stands in the description of its target and of the bundle, and not where it waits for nothing", async () => {
    expect(await printed("describe", "target", "guestbook", "eu-west-1")).toMatch(LINE);
    expect(await printed("describe", "bundle", "guestbook")).toMatch(LINE);
    for (const other of [
      ["target", "guestbook", "lab-1"],
      ["bundle", "podinfo"],
    ])
      expect(await printed("describe", ...other)).not.toContain("Blocked by");
  });

  it.each(["targets", "bundles"])("has a column in a wide list of %s, and none in a narrow one", async (list) => {
    const [head = "", ...rows] = (await printed("get", list, "-o", "wide")).trimEnd().split("\n");
    const at = head.indexOf("BLOCKED BY");
    expect(at).toBeGreaterThan(0);
    expect(rows.filter((row) => row.slice(at).startsWith(COLUMN))).toEqual([expect.stringMatching(/^guestbook /)]);
    expect(await printed("get", list)).not.toContain("BLOCKED BY");
  });

  it("is given to programs as the API gave it", async () => {
    expect(JSON.parse(await printed("describe", "target", "guestbook", "eu-west-1", "-o", "json")).target.blockedBy).toEqual(BLOCKED_BY);
    expect(JSON.parse(await printed("get", "bundle", "guestbook", "-o", "json")).blockedBy).toEqual(BLOCKED_BY);
  });
});
