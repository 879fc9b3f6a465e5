import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { EventView, FleetView, TargetView } from "../../hub/src/status/views.ts";
import { eventually } from "../rig/eventually.ts";
import type { GitFault } from "../rig/git-server.ts";
import { type Muster, startMuster } from "../rig/muster.ts";

/** Git, NATS, the hub or an API server is down, hangs or has lost everything: the others go on, it shows, and it heals by itself. */

const BUNDLE = `apiVersion: muster.dev/v1alpha1
kind: Bundle
metadata: { name: web }
spec: { targets: [{ all: true }], namespace: apps, createNamespace: ifAbsent }
`;
const cluster = (name: string) => `apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: { name: ${name}, labels: { env: prod } }\n`;
const configMap = (value: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: web }\ndata: { value: "${value}" }\n`;
/** A chart that makes an object only where the API server serves what it asks for. */
const CHART = {
  "gated/bundle.yaml": BUNDLE.replace("name: web", "name: gated"),
  "gated/Chart.yaml": "apiVersion: v2\nname: gated\nversion: 1.0.0\n",
  "gated/templates/a.yaml": ["gated-always", "gated-if-known"]
    .map((name, index) => {
      const map = `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${name} }\n---\n`;
      return index === 0 ? map : `{{ if .Capabilities.APIVersions.Has "apiregistration.k8s.io/v1/APIService" }}\n${map}{{ end }}\n`;
    })
    .join(""),
};
const GATED = "/api/v1/namespaces/apps/configmaps/gated-if-known";
const PATH = "/api/v1/namespaces/apps/configmaps/web";
const SLOW = { timeoutMs: 45_000 };

let muster: Muster;
let counter = 0;

const admin = (where: string) => muster.clusters.get(where).admin;
const liveValue = async (where: string) => (await admin(where).get<{ data: { value: string } }>(PATH))?.data.value;
const fleet = async () => (await muster.api<FleetView>("/fleet")).body;
const healthy = () => eventually(async () => expect(await fleet()).toMatchObject({ healthy: true }), SLOW);
const commit = () => {
  counter += 1;
  return muster.repository.commit(`Change ${counter}`, { "web/map.yaml": configMap(String(counter)) });
};
const everywhere = async (names: readonly string[] = ["one", "two"]) => {
  for (const name of names) await eventually(async () => expect(await liveValue(name)).toBe(String(counter)), SLOW);
};
const driftIsCorrected = async (where: string) => {
  await admin(where).request("DELETE", PATH);
  await eventually(async () => expect(await liveValue(where)).toBeDefined(), SLOW);
};

beforeAll(async () => {
  muster = await startMuster({
    clusters: ["one", "two"],
    files: {
      "clusters/one.yaml": cluster("one"),
      "clusters/two.yaml": cluster("two"),
      "web/bundle.yaml": BUNDLE,
      "web/map.yaml": configMap("0"),
      ...CHART,
    },
    agent: { MUSTER_POLL_INTERVAL_MS: "1000" },
    hub: { source: { pollIntervalMs: 1_000 }, grpc: { leaseMs: 3_000, heartbeatIntervalMs: 500 } },
  });
  await healthy();
});
afterEach(async () => {
  await everywhere();
  await healthy();
  expect(await muster.deletions()).toEqual({ total: 0, unexplained: [] });
});
afterAll(() => muster?.stop());

describe("Git", () => {
  it.each<[string, GitFault, string | undefined]>([
    ["is slow", { delayMs: 1_500 }, undefined],
    ["closes connections", { drop: true }, "SOURCE_UNREACHABLE"],
    ["sends half of an answer", { truncate: true }, "SOURCE_"],
    ["fails", { status: 500 }, "SOURCE_UNREACHABLE"],
    ["does not know the repository any more", { status: 404 }, "SOURCE_"],
  ])("%s: the last commit stays in force, and the next one comes when it can", async (_, fault, reason) => {
    muster.git.setFault(fault);
    await commit();
    if (reason) await eventually(async () => expect((await fleet()).sources[0]?.conditions[0]?.reason).toContain(reason), SLOW);
    await driftIsCorrected("one");
    muster.git.setFault(null);
  });
});

describe("NATS", () => {
  it.each(["is killed", "hangs"])("%s: agents go on with what they have, the hub says so, and the commit comes afterwards", async (how) => {
    if (how === "hangs") muster.nats.pause();
    else await muster.nats.kill();
    await commit();
    await driftIsCorrected("two");
    if (how === "hangs") muster.nats.resume();
    else {
      await eventually(async () => expect((await fleet()).problems.map((problem) => problem.reason)).toEqual(["NATS_UNREACHABLE"]), SLOW);
      await muster.nats.restart();
    }
  });

  it("E204: loses everything while the hub is down: the hub takes up where it was, with a newer generation", async () => {
    await muster.hub.kill();
    await muster.nats.wipe();
    await driftIsCorrected("one");
    await muster.hub.restart();
    await healthy();
    await commit();
  });
});

describe("the hub", () => {
  it.each(["is killed", "hangs"])("%s: agents correct drift without it, and it knows the truth soon after", async (how) => {
    if (how === "hangs") muster.hub.pause();
    else await muster.hub.kill();
    await commit();
    for (const where of ["one", "two"]) await driftIsCorrected(where);
    if (how === "hangs") muster.hub.resume();
    else await muster.hub.restart();
  });

  it("that has not heard from a cluster yet renders nothing for it that depends on its API: what is applied stays", async () => {
    const uid = async () => (await admin("two").get<{ metadata: { uid: string } }>(GATED))?.metadata.uid;
    const before = await uid();
    expect(before).toBeDefined();
    muster.agent("two").pause();
    await muster.hub.kill();
    await commit();
    await muster.hub.restart();
    await eventually(async () => {
      const { body } = await muster.api<TargetView>("/targets/gated/two");
      expect(body.conditions).toContainEqual(expect.objectContaining({ reason: "CAPABILITIES_UNKNOWN" }));
    }, SLOW);
    muster.agent("two").resume();
    await everywhere();
    await healthy();
    expect(await uid()).toBe(before);
  });
});

describe("an API server", () => {
  it("hangs: the other cluster does not notice, its own agent is heard all the time, and it catches up", async () => {
    muster.clusters.get("one").pause();
    await commit();
    await everywhere(["two"]);
    const { body } = await muster.api<{ freshness: string; sync: string }>("/clusters/one");
    expect(body).toMatchObject({ freshness: "Live" });
    expect(body.sync).not.toBe("Synced");
    muster.clusters.get("one").resume();
  });
});

describe("an agent", () => {
  it("hangs: its cluster is Stale after the lease, never healthy, and back when it speaks again", async () => {
    muster.agent("two").pause();
    await eventually(async () => {
      const { body } = await muster.api<{ freshness: string; sync: string; health: string }>("/clusters/two");
      expect(body).toMatchObject({ freshness: "Stale", sync: "Unknown", health: "Unknown" });
    }, SLOW);
    expect((await fleet()).healthy).toBe(false);
    await commit();
    await everywhere(["one"]);
    muster.agent("two").resume();
    await healthy();
    const { body } = await muster.api<{ items: EventView[] }>("/events?cluster=two");
    expect(body.items.map((event) => event.type)).toContain("AgentStale");
  });
});
