import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApi } from "../../src/api/create-api.ts";
import { createApiClient } from "./api-client.ts";
import { createSampleFleet } from "./testing/sample-fleet.ts";
import { runMuster, type SampleHub, startSampleHub } from "./testing/sample-hub.ts";

let hub: SampleHub;
beforeAll(async () => {
  hub = await startSampleHub(createApi, createSampleFleet());
});
afterAll(async () => hub.close());

describe("muster", () => {
  it("called wrongly ends with 2 and names the help of just that command", async () => {
    const { code, err } = await runMuster(["get", "clusters", "--bundle", "x"]);
    expect([code, err]).toEqual([
      2,
      "error: unknown option '--bundle' [CLI_USAGE]\n       The command was called wrongly.\nfix:   See `muster get clusters --help`.\n",
    ]);
    expect((await runMuster(["gett"])).err).toContain("Did you mean get?");
    expect((await runMuster(["get", "clusters", "-o", "xml"])).code).toBe(2);
  });

  it("help and version need no hub", async () => {
    expect(await runMuster(["--help"])).toMatchObject({ code: 0, err: "" });
    expect(await runMuster(["--version"])).toMatchObject({ code: 0, out: "muster 0.1.0\n", err: "" });
    expect(await runMuster(["version"])).toMatchObject({ code: 0, out: "muster 0.1.0\n" });
    expect(await runMuster([])).toMatchObject({ code: 2, out: "" });
  });

  it("without a context says how to make one", async () => {
    const { code, err } = await runMuster(["status"], { env: { MUSTER_CONFIG: "/nonexistent/config.yaml" } });
    expect([code, err]).toEqual([2, expect.stringContaining("muster context set NAME --url URL --token-file FILE")]);
  });

  it("the token stands in no option", async () => expect((await runMuster(["--help"])).out).not.toMatch(/--token[ =<]/));

  it("reconcile asks the agent, and refuses a target that is none", async () => {
    expect((await hub.muster(["reconcile", "lab-1"])).code).toBe(0);
    expect((await hub.muster(["reconcile", "lab-1", "podinfo"])).code).toBe(0);
    expect(hub.reconciled).toEqual(["lab-1", "lab-1/podinfo"]);
    expect((await hub.muster(["reconcile", "lab-1", "nothing"])).code).toBe(5);
    expect((await hub.muster(["reconcile", "us-east-1"])).code).toBe(3);
  });

  it("an answer that is not the hub's is told as such", async () => {
    const client = createApiClient({ url: `${hub.url}/healthz?` });
    await expect(client.get("/fleet")).rejects.toMatchObject({ code: "HUB_UNREACHABLE" });
  });
});
