import { describe, expect, it } from "vitest";
import { createApi } from "../../../src/api/create-api.ts";
import { createHealthyFleet, createSampleFleet, type SampleFleet } from "../testing/sample-fleet.ts";
import { type Printed, runMuster, startSampleHub } from "../testing/sample-hub.ts";

async function statusOf(sample: SampleFleet, argv: readonly string[] = []): Promise<Printed> {
  const hub = await startSampleHub(createApi, sample);
  try {
    return await hub.muster(["status", ...argv], { isTTY: true, columns: 80, env: { NO_COLOR: "1" } });
  } finally {
    await hub.close();
  }
}

const UNHEALTHY = `\
Fleet at main@3f2a1b9   ✗ Needs attention

  Clusters   0/3 synced · 0/3 healthy
             2 live · 1 stale
  Targets    3/8 synced · 5/8 healthy
             2 failed or held · 1 drifted · 2 unknown
  Source     fleet · main@3f2a1b9 · fetched 12s ago

Wrong in Git or in publishing
  ✗ Held  [VARIABLE_UNSET] · 25m ago
      podinfo: REPLICAS has no value for cluster lab-1 and no default (lab-1)
      in Git at apps/podinfo/bundle.yaml:14

3 clusters to look at
  ✗ lab-1: Failed  2/3 synced
      ✗ guestbook: Failed  [KUBE_DENIED]
          admission webhook "policy.acme.example" denied the request: image tag
          latest is not allowed
      ✗ podinfo: Held  [VARIABLE_UNSET]
          REPLICAS has no value for cluster lab-1 and no default
          in Git at apps/podinfo/bundle.yaml:14
  ✗ eu-west-1: Held  1/3 synced
      ✗ Deletion held  [DELETION_HELD]
          31 of 62 objects left Git and are more than the budget of 20 %; to
          delete them, add del-7c1f0a92be34 to spec.deletion.approvals of the
          Fleet document
          - ConfigMap guestbook/guestbook
          - Service guestbook/guestbook
          - Deployment guestbook/guestbook
          … and 28 more objects
          If they are meant to go, say so in muster.yaml in Git; if not, put
          them back:
            spec:
              deletion:
                approvals: [del-7c1f0a92be34]
      ! podinfo: OutOfSync  2 drifted
  ✗ us-east-1: Stale 4m20s  0/2 synced

More: muster describe cluster lab-1
`;

const HEALTHY = `\
Fleet at main@3f2a1b9   ✓ Healthy

  Clusters   1/1 synced · 1/1 healthy
             1 live
  Targets    1/1 synced · 1/1 healthy
  Source     fleet · main@3f2a1b9 · fetched 12s ago
`;

describe("muster status", () => {
  it("says what is wrong, where, and what to do, and ends with 1", async () => {
    const { code, out } = await statusOf(createSampleFleet());
    expect(out).toBe(UNHEALTHY);
    expect(code).toBe(1);
  });

  it("is short and ends with 0 if all is well", async () =>
    expect(await statusOf(createHealthyFleet())).toEqual({ code: 0, out: HEALTHY, err: "" }));

  it("gives programs the whole answer with the same exit code", async () => {
    const sample = createSampleFleet();
    const { code, out } = await statusOf(sample, ["-o", "json"]);
    expect(JSON.parse(out)).toEqual(sample.fleet);
    expect(code).toBe(1);
  });

  it("says why Git cannot be read although there is no cluster to tell of yet", async () => {
    const sample = createSampleFleet();
    sample.loaded = false;
    const none = { total: 0, live: 0, stale: 0, never: 0, synced: 0, healthy: 0 };
    const failed = {
      type: "FetchFailed",
      status: "True" as const,
      reason: "SOURCE_UNAUTHORIZED",
      message: "the token was refused",
      since: new Date(0).toISOString(),
    };
    const [source] = sample.fleet.sources;
    sample.fleet = { ...sample.fleet, clusters: none, problems: [], sources: [{ ...source!, conditions: [failed] }] };
    const { code, out } = await statusOf(sample);
    expect([code, out]).toEqual([1, expect.stringMatching(/✗ FetchFailed {2}the token was refused/)]);
  });

  it("a broker that is away is in nobody's way of being seen", async () => {
    const sample = createHealthyFleet();
    const lost = {
      type: "TransportFailed",
      status: "True" as const,
      reason: "NATS_UNREACHABLE",
      message: "NATS is away",
      since: new Date(0).toISOString(),
    };
    sample.fleet = { ...sample.fleet, healthy: false, problems: [lost] };
    expect(await statusOf(sample)).toMatchObject({ code: 1, out: expect.stringMatching(/✗ TransportFailed {2}NATS is away/) });
  });

  it("ends with 3 and says what was tried if the hub cannot be reached", async () => {
    const { code, err } = await runMuster(["status", "--url", "http://127.0.0.1:1"]);
    expect(code).toBe(3);
    expect(err).toMatch(
      /^error: The hub at http:\/\/127\.0\.0\.1:1 cannot be reached \[HUB_UNREACHABLE\]\n {7}\S.*\nfix: {3}Check the URL/,
    );
  });
});
