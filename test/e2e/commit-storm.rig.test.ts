import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Slice } from "@muster/shared/model";
import { decodeSlice, HUB_INBOX_PREFIX, SLICE_STREAM, sliceSubject } from "@muster/shared/wire";
import { connect, credsAuthenticator } from "nats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FleetView, TargetView } from "../../hub/src/status/views.ts";
import { deletions } from "../rig/audit-log.ts";
import { eventually } from "../rig/eventually.ts";
import { AGENT_USER, type Muster, startMuster } from "../rig/muster.ts";

/** Many commits at once, and many clusters of which one is wrong: on the whole system. */

type Files = Readonly<Record<string, string | null>>;

const cluster = (name: string) =>
  `apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: { name: ${name}, labels: { env: prod, name: ${name} } }\n`;
const bundle = (name: string, more = "") =>
  `apiVersion: muster.dev/v1alpha1\nkind: Bundle\nmetadata: { name: ${name} }\nspec:\n  targets: [{ matchLabels: { env: prod } }]\n  namespace: apps\n  createNamespace: ifAbsent\n${more}`;
const configMap = (name: string, value: string) =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${name} }\ndata: { value: "${value}" }\n`;

const REAL = ["one", "two"];
const within = { timeoutMs: 60_000 };
/** Enough that one object more or less stays far from every deletion budget. */
const STEADY = Array.from({ length: 12 }, (_, index) => `steady-${index}`);
const steady = (value: string): Files => ({ "steady/maps.yaml": STEADY.map((name) => configMap(name, value)).join("---\n") });
const one = (name: string, value = "good"): Files => ({
  [`${name}/bundle.yaml`]: bundle(name),
  [`${name}/map.yaml`]: configMap(name, value),
});
const GOOD: Readonly<Record<string, string>> = {
  ...Object.fromEntries(REAL.map((name) => [`clusters/${name}.yaml`, cluster(name)])),
  "steady/bundle.yaml": bundle("steady"),
  ...(steady("0") as Record<string, string>),
  ...(one("broken") as Record<string, string>),
  ...(one("reverted") as Record<string, string>),
  ...(one("leaves") as Record<string, string>),
  "app/bundle.yaml": bundle(
    "app",
    "  kustomize: { path: base }\n  layers:\n    - selector: { matchLabels: { name: two } }\n      kustomize: { path: overlays/two }\n",
  ),
  "app/base/kustomization.yaml": "resources: [map.yaml]\n",
  "app/base/map.yaml": configMap("app", "v1"),
  "app/overlays/two/kustomization.yaml": "resources: [../../base]\nlabels: [{ pairs: { overlay: two } }]\n",
};

let muster: Muster;
beforeAll(async () => {
  muster = await startMuster({ clusters: REAL, files: GOOD, hub: { source: { pollIntervalMs: 1_000 } } });
  await healthy();
});
afterAll(() => muster?.stop());

const healthy = () => eventually(async () => expect((await muster.api<FleetView>("/fleet")).body).toMatchObject({ healthy: true }), within);
const live = async (where: string, name: string) =>
  await muster.clusters
    .get(where)
    .admin.get<{ metadata: { uid: string }; data: { value: string } }>(`/api/v1/namespaces/apps/configmaps/${name}`);
const value = async (where: string, name: string) => (await live(where, name))?.data.value;
const uids = async (name: string) => await Promise.all(REAL.map(async (where) => (await live(where, name))?.metadata.uid));

describe("thirty commits within seconds", () => {
  /** What a hasty person pushes; each takes the one before back. */
  const mistakes: readonly Files[] = [
    { "broken/map.yaml": "apiVersion: v1\nkind: [\n" },
    { "broken/map.yaml": null },
    { "broken/map.yaml": "# nothing left\n" },
    { "broken/bundle.yaml": "kind: [\n" },
    { "broken/bundle.yaml": bundle("broken", "  namespce: x\n") },
    { "broken/bundle.yaml": bundle("broken").replace("{ matchLabels: { env: prod } }", "{}") },
    { "broken/map.yaml": configMap("broken", "${NOWHERE}") },
    { "clusters/one.yaml": "kind: [\n" },
    { "again/bundle.yaml": bundle("broken"), "again/map.yaml": configMap("again", "x") },
    {
      "again/bundle.yaml": null,
      "again/map.yaml": null,
      "other/bundle.yaml": bundle("other"),
      "other/map.yaml": configMap("broken", "stolen"),
    },
  ];

  it("E072: with broken ones, emptied and deleted directories and their reverts among them: the newest good state is in force, and nothing else was deleted", async () => {
    const before = await uids("broken");
    const mark = REAL.map((where) => muster.clusters.get(where).auditMark());
    const { repository } = muster;
    const commits: string[] = [];
    const commit = async (files: Files): Promise<void> => {
      repository.write(files);
      await repository.git("add", "--all");
      await repository.git("commit", "-qm", `Commit ${commits.length}`);
      commits.push(await repository.git("rev-parse", "HEAD"));
    };
    for (const [index, mistake] of mistakes.entries()) {
      await commit({ ...mistake, ...steady(`${index}-bad`) });
      // Every third time the whole repository goes, or only a bundle.
      if (index % 3 === 0) await repository.git("rm", "-rqf", ".");
      await commit({ "reverted/bundle.yaml": null, "reverted/map.yaml": null, "README.md": `${index}\n` });
      await commit({
        ...GOOD,
        ...one("broken", String(index)),
        "again/bundle.yaml": null,
        "again/map.yaml": null,
        "other/bundle.yaml": null,
        "other/map.yaml": null,
      });
    }
    await commit({ ...steady("last"), ...one("broken", "last"), ...one("comes"), "leaves/bundle.yaml": null, "leaves/map.yaml": null });
    expect(commits.length).toBeGreaterThan(30);
    for (const id of commits) {
      await repository.push({ refspec: `${id}:refs/heads/main` });
      await muster.webhook();
    }
    for (const where of REAL) {
      for (const [name, expected] of Object.entries({
        "steady-11": "last",
        broken: "last",
        comes: "good",
        reverted: "good",
        leaves: undefined,
      }))
        await eventually(async () => expect([where, name, await value(where, name)]).toEqual([where, name, expected]), within);
    }
    await healthy();
    const { body } = await muster.api<FleetView>("/fleet");
    expect(body.revision).toContain(commits.at(-1));
    // A bundle that was broken, but in no good state away, was never deleted: it is the same object still.
    expect(await uids("broken")).toEqual(before);
    const gone = REAL.flatMap((where, index) => {
      const { audit } = muster.clusters.get(where);
      return deletions(audit(mark[index]).filter(({ user, name }) => user === AGENT_USER && !name.startsWith("muster-state-")));
    });
    expect(new Set(gone)).toEqual(new Set([...gone.filter((text) => text.endsWith("/reverted")), "apps/configmaps/leaves"]));
    expect((await muster.deletions()).unexplained).toEqual([]);
  });
});

describe("one broken cluster of fifty", () => {
  const OTHERS = Array.from({ length: 48 }, (_, index) => `c-${index}`);

  /** The slices of all clusters, as they stand in the stream. */
  async function slices(): Promise<ReadonlyMap<string, Slice>> {
    const pinned = [createPublicKey(readFileSync(join(muster.folder, "hub/signing-key.pub.pem")))];
    const creds = credsAuthenticator(readFileSync(join(muster.folder, "hub/nats/hub.creds")));
    const connection = await connect({ servers: muster.nats.url, authenticator: creds, inboxPrefix: HUB_INBOX_PREFIX });
    const manager = await connection.jetstreamManager({ checkAPI: false });
    try {
      const found = new Map<string, Slice>();
      for (const name of [...REAL, ...OTHERS]) {
        const last = await manager.streams.getMessage(SLICE_STREAM, { last_by_subj: sliceSubject(name) });
        found.set(name, decodeSlice(last.string(), pinned).slice);
      }
      return found;
    } finally {
      await connection.close();
    }
  }
  const digestOf = (slice: Slice | undefined) => {
    const app = slice?.bundles.find(({ name }) => name === "app");
    return app?.state === "desired" ? app.manifestSet.digest : undefined;
  };

  it("E110: keeps its last good state and has the error with file and line; the other forty-nine advance", async () => {
    await muster.push("Fifty clusters", { "clusters/others.yaml": OTHERS.map(cluster).join("---\n") });
    const before = await eventually(slices, within);
    await muster.push("A change, and a slip in one overlay", {
      "app/base/map.yaml": configMap("app", "v2"),
      "app/overlays/two/kustomization.yaml": "resources: [../../base]\nlabels: [{ pairs: { overlay: two }\n",
      ...steady("after"),
    });
    await eventually(async () => expect([await value("one", "app"), await value("two", "steady-0")]).toEqual(["v2", "after"]), within);
    const after = await eventually(async () => {
      const now = await slices();
      const moved = [...now].filter(([name, slice]) => digestOf(slice) !== undefined && digestOf(slice) !== digestOf(before.get(name)));
      expect(moved).toHaveLength(49);
      return now;
    }, within);
    expect(new Set([...after].flatMap(([name, slice]) => (name === "two" ? [] : digestOf(slice)))).size).toBe(1);
    expect(digestOf(after.get("two"))).toBe(digestOf(before.get("two")));
    expect(await value("two", "app")).toBe("v1");
    const { body } = await muster.api<TargetView>("/targets/app/two");
    const [held] = body.conditions.filter(({ type }) => type === "Held");
    expect(`${held?.at} ${held?.message}`).toMatch(/app\/overlays\/two\/kustomization\.yaml:\d+/);
    await muster.push("Mend the overlay", { "app/overlays/two/kustomization.yaml": GOOD["app/overlays/two/kustomization.yaml"]! });
    await eventually(async () => expect(await value("two", "app")).toBe("v2"), within);
    expect((await muster.deletions()).unexplained).toEqual([]);
  });
});
