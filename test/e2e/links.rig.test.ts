import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ClusterView, FleetView } from "../../hub/src/status/views.ts";
import { eventually } from "../rig/eventually.ts";
import type { Change } from "../rig/kube-apiserver.ts";
import { LINKS, type LinkName, type Muster, startMuster } from "../rig/muster.ts";
import { createSeededRandom } from "../rig/seeded-random.ts";
import { startTcpFaultProxy, type TcpFaultProxy } from "../rig/tcp-fault-proxy.ts";
import { faultSchedule, playFaults } from "../rig/tcp-fault-schedule.ts";

/** Each link between two parts fails as links do, below what its protocol knows of: nothing wrong is applied or deleted, and it heals. */

const BUNDLE = `apiVersion: muster.dev/v1alpha1
kind: Bundle
metadata: { name: web }
spec: { targets: [{ all: true }], namespace: apps, createNamespace: ifAbsent }
`;
const CLUSTER = "apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: { name: one, labels: { env: prod } }\n";
/** Some content, so that bytes flow. */
const more = (name: string, value: string) => `${name}${value}`.repeat(200);
const configMap = (name: string, value: string) =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${name} }\ndata: { value: "${value}", more: "${more(name, value)}" }\n`;
const NAMES = Array.from({ length: 10 }, (_, index) => `map-${index}`);
const SLOW = { timeoutMs: 60_000, intervalMs: 100 };
const MAPS = "/api/v1/namespaces/apps/configmaps";

/** A ConfigMap as it is stored. */
interface Live {
  readonly metadata: { readonly name: string; readonly resourceVersion: string; readonly labels?: Readonly<Record<string, string>> };
  readonly data: Readonly<Record<string, string>>;
}

const proxies = new Map<LinkName, TcpFaultProxy>();
let muster: Muster;
let counter = 0;
/** Where a test began: in Git, and in the cluster. */
let first = 0;
let since = "";
const edited = new Set<string>();

const proxy = (name: LinkName): TcpFaultProxy => {
  const found = proxies.get(name);
  if (!found) throw new Error(`nothing stands on ${name}`);
  return found;
};
const admin = () => muster.clusters.get("one").admin;
const fleet = async () => (await muster.api<FleetView>("/fleet")).body;
const maps = () => admin().request<{ metadata: { resourceVersion: string }; items: Live[] }>("GET", MAPS);
const values = async () => (await maps()).items.map(({ data }) => data["value"]);
const commit = () => {
  counter += 1;
  const files = Object.fromEntries(NAMES.map((name) => [`web/${name}.yaml`, configMap(name, String(counter))]));
  return muster.repository.commit(`Change ${counter}`, files);
};
const applied = () => eventually(async () => expect(await values()).toEqual(NAMES.map(() => String(counter))), SLOW);
/** Until the hub has published the cluster's slice of a commit. */
const published = (id: string) =>
  eventually(async () => expect((await muster.api<ClusterView>("/clusters/one")).body.revision).toContain(id), SLOW);
const healthy = () => eventually(async () => expect(await fleet()).toMatchObject({ healthy: true }), SLOW);
const edit = (name: string) => {
  edited.add(name);
  return admin().request("PATCH", `${MAPS}/${name}?fieldManager=somebody`, { data: { value: "foreign" } }, "application/merge-patch+json");
};

/** As Git has said it since the test began, or as somebody has edited that. */
function isExpected({ metadata: { name, labels }, data: { value = "", ...rest } }: Live): boolean {
  const revisions = Array.from({ length: counter - first + 1 }, (_, index) => String(first + index));
  const isOf = (revision: string) => JSON.stringify(rest) === JSON.stringify({ more: more(name, revision) });
  const isWhole = value === "foreign" ? edited.has(name) && revisions.some(isOf) : revisions.includes(value) && isOf(value);
  return NAMES.includes(name) && labels?.["muster.dev/bundle"] === "web" && isWhole;
}

/** Every version that was stored since the test began: not only what one look would find. */
async function changes(): Promise<Change<Live>[]> {
  const newest = (await maps()).items.map(({ metadata }) => metadata.resourceVersion).filter((version) => Number(version) > Number(since));
  return eventually(async () => {
    const told = await admin().changes<Live>(MAPS, since);
    const versions = told.map(({ object }) => object.metadata.resourceVersion);
    expect(versions).toEqual(expect.arrayContaining(newest));
    return told;
  }, SLOW);
}
const isStrange = ({ type, object }: Change<Live>) => type === "DELETED" || !isExpected(object);

beforeAll(async () => {
  muster = await startMuster({
    clusters: ["one"],
    files: {
      "clusters/one.yaml": CLUSTER,
      "web/bundle.yaml": BUNDLE,
      ...Object.fromEntries(NAMES.map((name) => [`web/${name}.yaml`, configMap(name, "0")])),
    },
    agent: { MUSTER_POLL_INTERVAL_MS: "1000", MUSTER_RELIST_INTERVAL_MS: "2000" },
    hub: { source: { pollIntervalMs: 1_000 }, grpc: { leaseMs: 3_000, heartbeatIntervalMs: 500 } },
    link: async (name, port) => {
      const between = await startTcpFaultProxy({ to: port, seed: LINKS.indexOf(name) });
      proxies.set(name, between);
      return between.port;
    },
  });
  await healthy();
});
beforeEach(async () => {
  first = counter;
  edited.clear();
  since = (await maps()).metadata.resourceVersion;
});
afterEach(async () => {
  for (const between of proxies.values()) between.setFault(undefined);
  await applied();
  await healthy();
  const stored = await changes();
  expect([stored.length > 0, stored.filter(isStrange)]).toEqual([true, []]);
  expect(await muster.deletions()).toEqual({ total: 0, unexplained: [] });
});
afterAll(async () => {
  await muster?.stop();
  for (const between of proxies.values()) await between.stop();
});

describe("the link of the agent to its API server", () => {
  it("E263: is half open: watches hang without a word, and drift is found and corrected all the same", async () => {
    expect(proxy("agent-api").halfOpen("client")).toBeGreaterThan(1);
    await edit("map-3");
    await applied();
  });

  it("loses the rest of every answer: nothing is taken for absent, and all is done when it can be", async () => {
    proxy("agent-api").setFault({ down: { cutAfterBytes: 6_000 } });
    proxy("agent-api").cut("rst");
    const { accepted } = proxy("agent-api").counts;
    await commit();
    await eventually(() => expect(proxy("agent-api").counts.accepted).toBeGreaterThan(accepted + 10), SLOW);
    expect(await values()).toHaveLength(NAMES.length);
  });
});

describe("bits are turned on the link", () => {
  it.each<[LinkName, "up" | "down", number]>([
    ["agent-api", "down", 400],
    ["agent-api", "up", 400],
    ["agent-nats", "down", 400],
    ["agent-nats", "up", 50],
    ["agent-hub", "down", 100],
    ["hub-nats", "up", 400],
    ["hub-nats", "down", 200],
    ["hub-git", "down", 400],
  ])("%s, %s: nothing but what Git says is ever applied", async (name, direction, flipEveryBytes) => {
    const { flips } = proxy(name).counts;
    proxy(name).setFault({ [direction]: { flipEveryBytes } });
    await commit();
    if (name === "agent-api") await edit("map-1");
    await eventually(() => expect(proxy(name).counts.flips).toBeGreaterThan(flips + 1), SLOW);
    expect((await changes()).filter(isStrange)).toEqual([]);
  });
});

describe("a link swallows everything for long, without an end", () => {
  it.each<LinkName>(["agent-nats", "agent-hub"])(
    "%s: drift is corrected, and of all that was committed meanwhile only the last is applied",
    async (name) => {
      const mark = muster.clusters.get("one").auditMark();
      proxy(name).setFault({ up: { blackhole: true }, down: { blackhole: true }, connect: "hang" });
      for (let left = name === "agent-nats" ? 3 : 1; left > 0; left--) await published(await commit());
      await edit("map-5");
      await eventually(async () => expect(await values()).not.toContain("foreign"), SLOW);
      if (name === "agent-hub") await eventually(async () => expect((await fleet()).healthy).toBe(false), SLOW);
      // What still lies on the way is lost with its connection.
      proxy(name).cut("rst");
      proxy(name).setFault(undefined);
      await applied();
      const writes = muster.clusters.get("one").audit(mark);
      const ours = writes.filter(({ verb, name: object, code }) => verb === "patch" && object === "map-1" && code < 400);
      expect(ours.length).toBe(1);
    },
  );
});

describe("all links at once", () => {
  it("fail as chance will have it while Git changes: nothing is lost, nothing is deleted, and all of it heals", async () => {
    const storms = LINKS.map((name, index) =>
      playFaults(proxy(name), faultSchedule(createSeededRandom(100 + index), { steps: 6, longestMs: 1_200 })),
    );
    const over = Promise.all(storms);
    await commit();
    await edit("map-7").catch(() => {});
    await over;
    await commit();
  });
});
