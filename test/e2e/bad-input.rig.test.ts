import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SLICE_STREAM, sliceSubject } from "@muster/shared/wire";
import { connect, credsAuthenticator } from "nats";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { FleetView } from "../../hub/src/status/views.ts";
import { eventually } from "../rig/eventually.ts";
import { type Muster, startMuster } from "../rig/muster.ts";

/** Whatever is wrong in Git or between the parts: it has a code and a place, everything else goes on, and nothing is deleted. */

const cluster = (name: string, more = "") =>
  `apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: { name: ${name}, labels: { env: prod } }\n${more}`;
const bundle = (name: string, more = "") =>
  `apiVersion: muster.dev/v1alpha1\nkind: Bundle\nmetadata: { name: ${name} }\nspec:\n  targets: [{ matchLabels: { env: prod } }]\n  namespace: apps\n  createNamespace: ifAbsent\n${more}`;
const configMap = (name: string, value: string) =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${name} }\ndata: { value: "${value}" }\n`;

const GOOD: Readonly<Record<string, string>> = {
  "clusters/one.yaml": cluster("one"),
  "clusters/two.yaml": cluster("two"),
  "steady/bundle.yaml": bundle("steady"),
  "steady/map.yaml": configMap("steady", "0"),
  "victim/bundle.yaml": bundle("victim"),
  "victim/map.yaml": configMap("victim", "good"),
};

let muster: Muster;
let counter = 0;

const fleet = async () => (await muster.api<FleetView>("/fleet")).body;
const liveValue = async (name: string, where = "one") =>
  (await muster.clusters.get(where).admin.get<{ data: { value: string } }>(`/api/v1/namespaces/apps/configmaps/${name}`))?.data.value;

/** Commits something bad together with a change of the steady bundle, and waits until that change is on every cluster. */
async function pushBad(files: Readonly<Record<string, string | null>>): Promise<void> {
  const value = String(++counter);
  await muster.push("Something bad", { ...files, "steady/map.yaml": configMap("steady", value) });
  await steadyIs(value);
}

async function steadyIs(value: string): Promise<void> {
  for (const where of ["one", "two"])
    await eventually(async () => expect(await liveValue("steady", where)).toBe(value), { timeoutMs: 20_000 });
}

/** Restores the good fleet and waits until all of it is in force. */
async function mend(): Promise<void> {
  const value = String(++counter);
  await muster.repository.git("rm", "-rqf", "--ignore-unmatch", ".");
  await muster.push("Mend", { ...GOOD, "steady/map.yaml": configMap("steady", value) });
  await steadyIs(value);
  await eventually(async () => expect(await fleet()).toMatchObject({ healthy: true }), { timeoutMs: 20_000 });
}

async function expectProblem(code: string, text: string): Promise<void> {
  await eventually(async () => {
    const { problems, healthy } = await fleet();
    expect(healthy).toBe(false);
    expect(problems.map((problem) => `${problem.reason} ${problem.at ?? ""} ${problem.message}`)).toEqual(
      expect.arrayContaining([expect.stringMatching(new RegExp(`^${code} [\\s\\S]*${text}`))]),
    );
  });
}

beforeAll(async () => {
  muster = await startMuster({
    clusters: ["one", "two"],
    files: GOOD,
    agent: { MUSTER_POLL_INTERVAL_MS: "2000" },
    hub: { source: { pollIntervalMs: 1_000 } },
  });
  await eventually(async () => expect(await fleet()).toMatchObject({ healthy: true }), { timeoutMs: 30_000 });
});
afterEach(async () => {
  await mend();
  expect(await liveValue("victim")).toBe("good");
});
afterAll(async () => {
  const deletions = await muster.deletions();
  await muster.stop();
  expect(deletions).toEqual({ total: 0, unexplained: [] });
});

describe("bad input holds back what it names, tells where it stands, and deletes nothing", () => {
  const cases: readonly [string, Readonly<Record<string, string | null>>, string, string][] = [
    ["YAML that does not parse", { "victim/map.yaml": "apiVersion: v1\nkind: [\n" }, "YAML_SYNTAX", "victim/map.yaml"],
    ["a bundle document that does not parse", { "victim/bundle.yaml": "kind: [\n" }, "YAML_SYNTAX", "victim/bundle.yaml"],
    ["an unknown field", { "victim/bundle.yaml": bundle("victim", "  namespce: x\n") }, "FLEET_UNKNOWN_FIELD", "victim/bundle.yaml:8"],
    [
      "an unknown kind",
      { "clusters/three.yaml": cluster("three").replace("Cluster", "Klaster") },
      "FLEET_UNKNOWN_KIND",
      "clusters/three.yaml",
    ],
    ["an unknown apiVersion", { "clusters/three.yaml": cluster("three").replace("v1alpha1", "v9") }, "FLEET_UNKNOWN_KIND", "v9"],
    [
      "an empty selector",
      { "victim/bundle.yaml": bundle("victim").replace("{ matchLabels: { env: prod } }", "{}") },
      "FLEET_EMPTY_SELECTOR",
      "victim/bundle.yaml:5",
    ],
    [
      "a malformed selector",
      { "victim/bundle.yaml": bundle("victim").replace("matchLabels: { env: prod }", "matchExpressions: [{ key: env, operator: In }]") },
      "FLEET_SELECTOR",
      "victim/bundle.yaml:5",
    ],
    [
      "two bundles of one name",
      { "other/bundle.yaml": bundle("victim"), "other/map.yaml": configMap("other", "x") },
      "FLEET_DUPLICATE",
      "other/bundle.yaml",
    ],
    ["two clusters of one name", { "clusters/again.yaml": cluster("two") }, "FLEET_DUPLICATE", "clusters/again.yaml"],
    [
      "one object in two bundles",
      { "other/bundle.yaml": bundle("other"), "other/map.yaml": configMap("victim", "stolen") },
      "OBJECT_DUPLICATE",
      "victim/bundle.yaml",
    ],
    ["an unset variable", { "victim/map.yaml": configMap("victim", "${NOWHERE}") }, "VARIABLE_UNSET", "NOWHERE"],
    [
      "a kustomization that fails",
      { "victim/kustomization.yaml": "resources: [missing.yaml]\n" },
      "(RENDER_KUSTOMIZE|BUNDLE_FILE_MISSING)",
      "missing.yaml",
    ],
    [
      "a chart that fails",
      { "victim/Chart.yaml": "apiVersion: v2\nname: victim\nversion: 1.0.0\n", "victim/templates/x.yaml": '{{ fail "no luck" }}' },
      "RENDER_HELM",
      "no luck",
    ],
    [
      "a path out of the bundle",
      { "victim/bundle.yaml": bundle("victim", "  kustomize: { path: ../steady }\n") },
      "BUNDLE_PATH_ESCAPE",
      "victim/bundle.yaml",
    ],
    ["a bundle that renders to nothing", { "victim/map.yaml": "# nothing\n" }, "BUNDLE_EMPTY", "victim"],
  ];
  it.each(cases)("%s", async (_, files, code, text) => {
    // With a duplicate cluster nothing of that cluster may move, so only the other one is looked at.
    if (code === "FLEET_DUPLICATE" && "clusters/again.yaml" in files) await muster.push("Something bad", files);
    else await pushBad(files);
    await expectProblem(code, text);
    for (const where of ["one", "two"]) expect(await liveValue("victim", where)).toBe("good");
  });

  it("a symlink out of the bundle", async () => {
    muster.repository.symlink("victim/link.yaml", "../steady/map.yaml");
    await pushBad({});
    await expectProblem("BUNDLE_PATH_ESCAPE", "link.yaml");
    expect(await liveValue("victim")).toBe("good");
  });

  it("an object that the API server refuses fails alone", async () => {
    await pushBad({ "victim/bad.yaml": `${configMap("refused", "x").replace("refused", "Not_A_Name")}` });
    await eventually(async () => {
      const { body } = await muster.api<{ items: { bundle: string; sync: string; reason?: string; conditions: { reason: string }[] }[] }>(
        "/targets?cluster=one",
      );
      const victim = body.items.find((item) => item.bundle === "victim");
      expect([victim?.reason, ...(victim?.conditions.map((entry) => entry.reason) ?? [])]).toEqual(
        expect.arrayContaining([expect.stringMatching(/KUBE_INVALID|OBJECT_INVALID/)]),
      );
    });
    expect(await liveValue("victim")).toBe("good");
  });
});

describe("the repository misbehaves, and the last commit stays in force", () => {
  const sourceReason = async () => (await fleet()).sources[0]?.conditions[0]?.reason;

  it("E070: a repository whose every cluster and bundle vanished is held", async () => {
    await muster.repository.git("rm", "-rqf", ".");
    await muster.push("Remove everything", { "README.md": "empty\n" });
    await expectProblem("FLEET_EMPTY", "");
    for (const where of ["one", "two"]) expect(await liveValue("victim", where)).toBe("good");
  });

  it("E151: a deleted branch", async () => {
    const head = await muster.repository.git("rev-parse", "HEAD");
    await muster.repository.push({ refspec: `HEAD:refs/heads/other` });
    await muster.repository.push({ refspec: ":refs/heads/main", force: true });
    await muster.webhook();
    await eventually(async () => expect(await sourceReason()).toBe("SOURCE_REF_MISSING"));
    expect(await liveValue("victim")).toBe("good");
    await muster.repository.push({ refspec: `${head}:refs/heads/main` });
  });

  it("E150: a force-push is followed with a new generation, and told", async () => {
    const before = (await muster.api<{ desiredGeneration: number }>("/clusters/one")).body.desiredGeneration;
    await muster.repository.git("commit", "--amend", "-qm", "Rewritten");
    const value = String(++counter);
    muster.repository.write({ "steady/map.yaml": configMap("steady", value) });
    await muster.repository.git("commit", "-aqm", "After the rewrite");
    await muster.repository.push({ force: true });
    await muster.webhook();
    await steadyIs(value);
    expect((await muster.api<{ desiredGeneration: number }>("/clusters/one")).body.desiredGeneration).toBeGreaterThan(before);
    const { body } = await muster.api<{ items: { type: string; message: string }[] }>("/events");
    expect(body.items.find((event) => event.type === "SourceRewritten")?.message).toContain("SOURCE_REWRITTEN");
  });

  it("E154: credentials that are wrong, and Git that is down", async () => {
    for (const [break_, reason] of [
      [() => muster.git.setCredentials({ username: "ada", password: "canary-secret" }), "SOURCE_AUTH"],
      [() => muster.git.setFault({ status: 503 }), "SOURCE_UNREACHABLE"],
    ] as const) {
      break_();
      await muster.webhook();
      await eventually(async () => expect(await sourceReason()).toBe(reason));
      muster.git.setCredentials(null);
      muster.git.setFault(null);
    }
    expect(await liveValue("victim")).toBe("good");
    expect(muster.hub.logTail(10_000)).not.toContain("canary-secret");
  });

  it("E162: a commit that changes nothing for clusters publishes nothing", async () => {
    const generations = async () =>
      (await muster.api<{ items: { desiredGeneration: number }[] }>("/clusters")).body.items.map((item) => item.desiredGeneration);
    const before = await generations();
    const commit = await muster.push("Write a README", { "README.md": "words\n" });
    await eventually(async () => expect((await fleet()).revision).toContain(commit));
    expect(await generations()).toEqual(before);
  });
});

describe("somebody else writes to the broker, or a part is away", () => {
  it("I1: a slice that no pinned key has signed is refused and shown, and the hub's own is put back", async () => {
    const creds = credsAuthenticator(readFileSync(join(muster.folder, "hub/nats/hub.creds")));
    const connection = await connect({ servers: muster.nats.url, authenticator: creds, inboxPrefix: "_INBOX_attacker" });
    connection.publish(
      sliceSubject("one"),
      JSON.stringify({ payloadType: "application/vnd.muster.slice.v1+json", payload: "e30=", signatures: [] }),
    );
    await connection.flush();
    await connection.close();
    await eventually(
      async () => {
        const { body } = await muster.api<{ items: { type: string; message: string }[] }>("/events?cluster=one&limit=50");
        expect(body.items.find((event) => event.type === "SliceRefused")?.message).toContain("SLICE_SIGNATURE");
      },
      { timeoutMs: 20_000 },
    );
    await eventually(
      async () => {
        const { body } = await muster.api<{ sliceProblem?: unknown }>("/clusters/one");
        expect(body.sliceProblem).toBeUndefined();
      },
      { timeoutMs: 30_000, message: `${SLICE_STREAM} being healed` },
    );
  });

  it("E261: an API server that is away is waited for, and the other cluster does not notice", async () => {
    await muster.clusters.get("two").kill();
    const value = String(++counter);
    await muster.push("Change while a cluster is away", { "steady/map.yaml": configMap("steady", value) });
    await eventually(async () => expect(await liveValue("steady", "one")).toBe(value));
    await muster.clusters.get("two").restart();
    await steadyIs(value);
  });

  it("E240: a hub that is killed comes back with the truth, and agents never stopped", async () => {
    await muster.hub.kill();
    const apiserver = muster.clusters.get("one");
    await apiserver.admin.request("DELETE", "/api/v1/namespaces/apps/configmaps/victim");
    await eventually(async () => expect(await liveValue("victim")).toBe("good"));
    await muster.hub.restart();
    await eventually(async () => expect(await fleet()).toMatchObject({ healthy: true }), { timeoutMs: 30_000 });
  });
});
