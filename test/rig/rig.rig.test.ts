import { execFile } from "node:child_process";
import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { connect } from "nats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { deletions, isMutating } from "./audit-log.ts";
import { type Clusters, startClusters } from "./clusters.ts";
import { freePort } from "./free-port.ts";
import { startGitServer } from "./git-server.ts";
import { currentMinor, KUBERNETES } from "./kubernetes.ts";
import { startNatsServer } from "./nats-server.ts";

const run = promisify(execFile);

describe("nats-server in the rig", () => {
  it("keeps JetStream's data over a kill and loses it when wiped", async () => {
    const server = await startNatsServer();
    const streams = async () => {
      const connection = await connect({ servers: server.url });
      const manager = await connection.jetstreamManager();
      const found = await manager.streams.list().next();
      await connection.close();
      return found.map((stream) => stream.config.name);
    };
    const connection = await connect({ servers: server.url });
    await (await connection.jetstreamManager()).streams.add({ name: "A", subjects: ["a"] });
    await connection.close();
    await server.kill();
    expect(server.running).toBe(false);
    await server.restart();
    expect(await streams()).toEqual(["A"]);
    await server.wipe();
    expect(await streams()).toEqual([]);
    await server.stop();
  });

  it("fails on a busy port instead of talking to a stray server", async () => {
    const port = await freePort();
    const stray = await startNatsServer({ port });
    await expect(startNatsServer({ port })).rejects.toMatchObject({ code: "RIG_PORT_BUSY" });
    await stray.stop();
  });
});

describe("API servers in the rig", () => {
  let clusters: Clusters;
  beforeAll(async () => {
    clusters = await startClusters(["one", "two"]);
  });
  afterAll(() => clusters?.stop());

  it("are isolated from each other on one etcd", async () => {
    await clusters.get("one").admin.request("POST", "/api/v1/namespaces", { metadata: { name: "only-here" } });
    expect(await clusters.get("one").admin.get("/api/v1/namespaces/only-here")).toBeDefined();
    expect(await clusters.get("two").admin.get("/api/v1/namespaces/only-here")).toBeUndefined();
  });

  it("write down who deleted what, at once", async () => {
    const one = clusters.get("one");
    const mark = one.auditMark();
    await one.admin.request("POST", "/api/v1/namespaces/default/configmaps", { metadata: { name: "gone" } });
    await one.admin.request("DELETE", "/api/v1/namespaces/default/configmaps/gone");
    const entries = one.audit(mark);
    expect(deletions(entries)).toEqual(["default/configmaps/gone"]);
    expect(entries.filter(isMutating).map((entry) => entry.user)).toEqual(["admin", "admin"]);
  });

  it("call themselves by the version that was built", async () => {
    expect(await clusters.get("one").admin.get("/version")).toMatchObject({ gitVersion: `v${KUBERNETES[currentMinor()].version}` });
  });

  it("enforce RBAC for ServiceAccount tokens", async () => {
    const two = clusters.get("two");
    const token = await two.serviceAccountToken("default", "nobody");
    const answer = await fetch(`${two.url}/version`).catch((error: Error) => error);
    expect(answer).toBeInstanceOf(Error); // its certificate is verified, and nobody vouches for it here
    const path = two.writeKubeconfig("nobody", token);
    expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ kind: "Config" });
  });
});

describe("data in the rig", () => {
  it("of one cluster can be wiped while the others keep theirs, and etcd's as a whole", async () => {
    const clusters = await startClusters(["one", "two"]);
    const has = async (name: string) => (await clusters.get(name).admin.get("/api/v1/namespaces/mine")) !== undefined;
    for (const { admin } of clusters.all) await admin.request("POST", "/api/v1/namespaces", { metadata: { name: "mine" } });
    await clusters.get("one").wipe();
    expect([await has("one"), await has("two")]).toEqual([false, true]);
    await clusters.etcd.wipe();
    await clusters.get("two").restart();
    expect(await has("two")).toBe(false);
    await clusters.stop();
  });
});

describe("the Git server in the rig", () => {
  it("dies, hangs, comes back and loses everything, when told", async () => {
    const server = await startGitServer();
    const repository = await server.createRepository("fleet");
    await repository.commit("first", { "a.txt": "one\n" });
    const heads = async () => (await run("git", ["ls-remote", "--heads", repository.url])).stdout.trim();
    expect(await heads()).toContain("refs/heads/main");
    await server.kill();
    await expect(heads()).rejects.toThrow();
    await server.restart();
    expect(await heads()).toContain("refs/heads/main");
    server.pause();
    const waiting = heads();
    expect(await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 300, "hangs"))])).toBe("hangs");
    server.resume();
    expect(await waiting).toContain("refs/heads/main");
    await server.wipe();
    expect(await heads()).toBe("");
    await server.stop();
  });

  it("serves real git over smart HTTP, with faults and credentials", async () => {
    const server = await startGitServer();
    const repository = await server.createRepository("fleet");
    await repository.commit("first", { "a.txt": "one\n" });
    const folder = await mkdtemp(join(tmpdir(), "muster-clone-"));
    const clone = (name: string, url = repository.url) =>
      run("git", ["clone", "--quiet", url, join(folder, name)], { env: { ...process.env, GIT_TERMINAL_PROMPT: "0" } });
    await clone("a");
    expect(await readFile(join(folder, "a", "a.txt"), "utf8")).toBe("one\n");
    server.setFault({ status: 503, times: 1 });
    await expect(clone("b")).rejects.toThrow("503");
    server.setFault({ truncate: true, match: "git-upload-pack" });
    await expect(clone("c")).rejects.toThrow();
    server.setFault(null);
    server.setCredentials({ username: "ada", password: "secret" });
    await expect(clone("d")).rejects.toThrow();
    await clone("e", repository.url.replace("http://", "http://ada:secret@"));
    await server.stop();
  });
});
