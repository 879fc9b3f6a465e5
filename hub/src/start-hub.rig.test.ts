import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Slice } from "@muster/shared/model";
import {
  BLOB_STREAM,
  blobSubject,
  decodeManifestSet,
  decodeSlice,
  HUB_INBOX_PREFIX,
  SLICE_STREAM,
  sliceSubject,
} from "@muster/shared/wire";
import { connect, credsAuthenticator, type JetStreamManager, type NatsConnection } from "nats";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Part } from "../../test/rig/child-process-part.ts";
import { eventually } from "../../test/rig/eventually.ts";
import { agentCredentials } from "./identity/testing/agent-credentials.ts";
import type { EventView, FleetView, RevisionView, TargetView } from "./status/views.ts";
import { type HubRig, startHubRig } from "./testing/hub-rig.ts";

const cluster = (name: string) => `apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: { name: ${name}, labels: { env: prod } }\n`;
const bundle = (name: string) =>
  `apiVersion: muster.dev/v1alpha1\nkind: Bundle\nmetadata: { name: ${name} }\nspec: { targets: [{ all: true }], namespace: apps }\n`;
const configMap = (name: string, value = "x") =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${name} }\ndata: { value: "${value}" }\n`;
const FILES = {
  "clusters/all.yaml": ["one", "two", "three"].map(cluster).join("---\n"),
  "apps/web/bundle.yaml": bundle("web"),
  "apps/web/map.yaml": configMap("web"),
  "apps/db/bundle.yaml": bundle("db"),
  "apps/db/map.yaml": configMap("db"),
};
const CLUSTERS = ["one", "three", "two"];

let rig: HubRig;
let reader: NatsConnection;
let manager: JetStreamManager;
let hubs: Part[];

async function setUp(settings: Record<string, object> = {}): Promise<void> {
  rig = await startHubRig(FILES, settings);
  reader = await connect({
    servers: rig.nats.url,
    authenticator: credsAuthenticator(readFileSync(rig.identity.natsCredsFile)),
    inboxPrefix: HUB_INBOX_PREFIX,
    reconnectTimeWait: 100,
    maxReconnectAttempts: -1,
  });
  manager = await reader.jetstreamManager({ checkAPI: false, timeout: 2_000 });
  hubs = [];
}
async function tearDown(): Promise<void> {
  await Promise.all(hubs.map((hub) => hub.stop()));
  await reader?.close();
  await rig?.stop();
}
async function start(options?: Parameters<HubRig["startHub"]>[0]): Promise<Part> {
  const hub = await rig.startHub(options);
  hubs.push(hub);
  return hub;
}
const text = async (name: string) => (await manager.streams.getMessage(SLICE_STREAM, { last_by_subj: sliceSubject(name) })).string();
const slice = async (name: string): Promise<Slice> => decodeSlice(await text(name), [createPublicKey(rig.identity.signingKey)]).slice;
const generations = async () => Promise.all(CLUSTERS.map(async (name) => (await slice(name)).generation));
/** What a cluster would apply: every object with its value, of a slice whose every blob is whole. */
async function content(name: string): Promise<Record<string, unknown>> {
  const values: Record<string, unknown> = {};
  for (const entry of (await slice(name)).bundles) {
    if (entry.state !== "desired") throw new Error(`${entry.name} is kept`);
    const { blob, chunks } = entry.manifestSet;
    const parts = await Promise.all(
      Array.from({ length: chunks }, (_, index) => manager.streams.getMessage(BLOB_STREAM, { last_by_subj: blobSubject(blob, index) })),
    );
    for (const { manifest } of decodeManifestSet(entry.manifestSet, Buffer.concat(parts.map((part) => part.data))))
      values[manifest.metadata.name] = (manifest["data"] as { value: string }).value;
  }
  return values;
}
const everywhere = (expected: Record<string, string>) =>
  eventually(async () => expect(await Promise.all(CLUSTERS.map(content))).toEqual(CLUSTERS.map(() => expected)), {
    timeoutMs: 20_000,
    message: "every cluster's slice",
  });

describe("a hub", () => {
  beforeAll(async () => {
    await setUp();
    await start();
  });
  afterAll(tearDown);

  it("publishes what Git says, signed, to every cluster", async () => {
    await everywhere({ web: "x", db: "x" });
    expect(await generations()).toEqual([1, 1, 1]);
  });

  it("I9: a commit that changes no object moves no slice", async () => {
    const before = await generations();
    const commit = await rig.push("Say what this is", { "README.md": "# The fleet\n" });
    await eventually(async () =>
      expect((await rig.api<{ items: RevisionView[] }>("/revisions")).items[0]).toMatchObject({
        revision: `main@sha1:${commit}`,
        publishedSlices: 0,
      }),
    );
    expect(await generations()).toEqual(before);
  });

  it("E071, I15: a bundle that cannot be read is held everywhere, and the others go on", async () => {
    await rig.push("Break the web, change the database", { "apps/web/map.yaml": "kind: [", "apps/db/map.yaml": configMap("db", "y") });
    await everywhere({ web: "x", db: "y" });
    const fleet = await rig.api<FleetView>("/fleet");
    expect([fleet.healthy, fleet.problems.map((problem) => problem.reason)]).toEqual([false, ["YAML_SYNTAX"]]);
    expect(fleet.problems[0]?.message).toContain("apps/web/map.yaml");
    const { items } = await rig.api<{ items: TargetView[] }>("/targets?bundle=web");
    expect(items.map((target) => target.conditions.map((condition) => condition.type))).toEqual([["Held"], ["Held"], ["Held"]]);
    await rig.push("Mend it", { "apps/web/map.yaml": configMap("web", "z") });
    await everywhere({ web: "z", db: "y" });
    await eventually(async () => expect((await rig.api<FleetView>("/fleet")).problems).toEqual([]));
    const types = (await rig.api<{ items: EventView[] }>("/events")).items.map((event) => event.type);
    expect(types).toEqual(expect.arrayContaining(["RenderFailed", "Recovered", "Published"]));
  });

  it("E070: a repository in which every bundle vanished changes nothing anywhere", async () => {
    const before = await generations();
    await rig.push("Lose everything", { "apps/web/bundle.yaml": null, "apps/db/bundle.yaml": null });
    await eventually(async () =>
      expect((await rig.api<FleetView>("/fleet")).problems.map((problem) => problem.type)).toContain("RevisionHeld"),
    );
    expect(await generations()).toEqual(before);
    await rig.push("Find it again", { "apps/web/bundle.yaml": bundle("web"), "apps/db/bundle.yaml": bundle("db") });
    await eventually(async () => expect((await rig.api<FleetView>("/fleet")).problems).toEqual([]));
    expect(await generations()).toEqual(before);
  });

  it("E201: publishes everything again when JetStream was wiped, and says so", async () => {
    const before = await Promise.all(CLUSTERS.map(text));
    await rig.nats.wipe();
    await eventually(async () => expect(await Promise.all(CLUSTERS.map(text))).toEqual(before), { timeoutMs: 20_000 });
    await everywhere({ web: "z", db: "y" });
    await eventually(async () =>
      expect((await rig.api<{ items: EventView[] }>("/events")).items.map((event) => event.type)).toEqual(
        expect.arrayContaining(["TransportFailed", "TransportRecovered", "Republished"]),
      ),
    );
    expect((await rig.probe("/readyz")).status).toBe(200);
  });

  it("a push told by webhook is in NATS in well under a second", async () => {
    const times: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      const commit = await rig.repository.commit("Change", { "apps/web/map.yaml": configMap("web", `round-${round}`) });
      const updates = reader.subscribe("muster.v1.slice.>", { max: CLUSTERS.length });
      await reader.flush();
      const started = performance.now();
      await rig.push("Nothing", { "README.md": `${commit}\n` });
      for await (const _ of updates);
      times.push(performance.now() - started);
    }
    times.sort((a, b) => a - b);
    if (process.env["MUSTER_RIG_FIGURES"])
      process.stderr.write(
        `push, webhook → last of ${CLUSTERS.length} slices in NATS: ${times.map((ms) => Math.round(ms)).join(", ")} ms\n`,
      );
    expect(times[2]).toBeLessThan(2_000);
  });
});

describe("a hub that starts without NATS", () => {
  beforeAll(() => setUp());
  afterAll(tearDown);

  it("answers operators, says why it is not ready, and publishes when NATS is there", async () => {
    await rig.nats.kill();
    await start({ until: "up" });
    await eventually(async () => expect((await rig.api<{ items: unknown[] }>("/clusters")).items).toHaveLength(3));
    // Anybody may ask: a code, and nothing of where NATS is.
    expect(await rig.probe("/readyz")).toEqual({ status: 503, text: "not ready: NATS_UNREACHABLE\n" });
    expect((await rig.api<FleetView>("/fleet")).problems.map((problem) => problem.reason)).toEqual(["NATS_UNREACHABLE"]);
    await rig.nats.restart();
    await everywhere({ web: "x", db: "x" });
    await eventually(async () => expect((await rig.probe("/readyz")).status).toBe(200));
  });
});

describe("a hub that is killed", () => {
  beforeEach(() => setUp());
  afterEach(tearDown);

  const POINTS = [
    "hub.afterFetch",
    "hub.afterRender",
    "hub.beforeSign",
    "hub.beforeBlobs",
    "hub.betweenBlobs",
    "hub.beforeSlice",
    "hub.beforeAck",
    "hub.afterAck",
    "hub.midFanOut",
  ];

  it("E209, E210: at any point of publishing leaves no half revision, and the next one finishes it", { timeout: 240_000 }, async () => {
    for (const [round, point] of POINTS.entries()) {
      const before = round === 0 ? [0, 0, 0] : await generations();
      const value = `v${round}`;
      await rig.push(`Round ${round}`, { "apps/web/map.yaml": configMap("web", value) });
      const dying = await start({ env: { MUSTER_FAILPOINTS: `${point}=exit` }, until: "running" });
      expect([point, await dying.exited()]).toEqual([point, 137]);
      // Whatever is there is whole: a slice names only blobs that can be fetched.
      for (const name of CLUSTERS)
        await content(name).catch((error: unknown) => expect([point, (error as { code?: string }).code]).toEqual([point, "404"]));
      const hub = await start();
      await everywhere({ web: value, db: "x" });
      expect((await generations()).every((generation, index) => generation > (before[index] ?? 0))).toBe(true);
      await hub.stop();
    }
  });

  it("D7: and whose NATS is gone with it, starts anew from Git", async () => {
    const first = await start();
    await everywhere({ web: "x", db: "x" });
    await first.kill();
    await rig.nats.wipe();
    await start();
    await everywhere({ web: "x", db: "x" });
  });
});

describe("what an agent's NATS credentials allow", () => {
  beforeAll(async () => {
    await setUp();
    await start();
    await everywhere({ web: "x", db: "x" });
  });
  afterAll(tearDown);

  it("S2: its own slice, blobs by name, and nothing else", { timeout: 120_000 }, async () => {
    const { natsCreds } = await agentCredentials(rig.identity, "one");
    const refused: string[] = [];
    const agent = await connect({
      servers: rig.nats.url,
      authenticator: credsAuthenticator(Buffer.from(natsCreds)),
      inboxPrefix: "_INBOX_one",
      reconnect: false,
    });
    void (async () => {
      for await (const status of agent.status()) if (status.type === "error") refused.push(String(status.data));
    })();
    const ask = (subject: string, payload = "") =>
      agent.request(subject, payload, { timeout: 300 }).then(
        (message) => message.headers?.code || 200,
        () => 0,
      );
    const entry = (await slice("one")).bundles[0];
    const blob = entry?.state === "desired" ? entry.manifestSet.blob : "";
    expect(await ask(`$JS.API.DIRECT.GET.${SLICE_STREAM}.${sliceSubject("one")}`)).toBe(200);
    expect(await ask(`$JS.API.DIRECT.GET.${BLOB_STREAM}.${blobSubject(blob, 0)}`)).toBe(200);

    const forbidden: [string, string?][] = [
      [`$JS.API.DIRECT.GET.${SLICE_STREAM}.${sliceSubject("two")}`],
      [`$JS.API.DIRECT.GET.${SLICE_STREAM}.muster.v1.slice.>`],
      [`$JS.API.DIRECT.GET.${SLICE_STREAM}`, JSON.stringify({ last_by_subj: sliceSubject("two") })],
      [`$JS.API.DIRECT.GET.${SLICE_STREAM}`, JSON.stringify({ seq: 1 })],
      [`$JS.API.STREAM.MSG.GET.${SLICE_STREAM}`, JSON.stringify({ last_by_subj: sliceSubject("two") })],
      ...["LIST", "NAMES"].map((verb): [string] => [`$JS.API.STREAM.${verb}`]),
      ...["INFO", "CREATE", "UPDATE", "DELETE", "PURGE", "SNAPSHOT", "RESTORE"].flatMap((verb): [string][] => [
        [`$JS.API.STREAM.${verb}.${SLICE_STREAM}`],
        [`$JS.API.STREAM.${verb}.${BLOB_STREAM}`],
      ]),
      ...["CREATE", "DURABLE.CREATE", "NAMES", "LIST"].map((verb): [string, string] => [`$JS.API.CONSUMER.${verb}.${SLICE_STREAM}`, "{}"]),
      ["$JS.API.INFO"],
      ["$SYS.REQ.USER.INFO"],
      ["$SYS.REQ.SERVER.PING"],
      ["$SRV.PING"],
      [sliceSubject("one"), "forged"],
      [sliceSubject("two"), "forged"],
      [blobSubject(blob, 0), "forged"],
    ];
    for (const [subject, payload] of forbidden) expect([subject, await ask(subject, payload)]).toEqual([subject, 0]);
    await agent.flush();
    expect(refused.filter((data) => data.includes("PERMISSIONS_VIOLATION")).length).toBe(forbidden.length);

    const heard: string[] = [];
    for (const subject of [
      sliceSubject("two"),
      "muster.v1.slice.*",
      "muster.v1.>",
      ">",
      "_INBOX.>",
      "_INBOX_two.>",
      `${HUB_INBOX_PREFIX}.>`,
      "$JS.>",
      "$SYS.>",
    ]) {
      agent.subscribe(subject, { callback: (error, message) => void (error || heard.push(message.subject)) });
    }
    await rig.push("Change something", { "apps/web/map.yaml": configMap("web", "heard") });
    await everywhere({ web: "heard", db: "x" });
    await agent.flush();
    expect(heard).toEqual([]);
    await agent.close();
    await everywhere({ web: "heard", db: "x" });
  });

  it("A4: a cluster that is named like the hub cannot listen to the hub's replies", async () => {
    const { natsCreds } = await agentCredentials(rig.identity, "muster-hub");
    const claims = JSON.parse(
      Buffer.from(/BEGIN NATS USER JWT-----\s+\S+\.(\S+)\./.exec(natsCreds)?.[1] ?? "", "base64url").toString(),
    ) as { nats: { sub: { allow: string[] } } };
    expect(claims.nats.sub.allow.some((subject) => `${HUB_INBOX_PREFIX}.x`.startsWith(subject.replace(">", "")))).toBe(false);
  });
});
