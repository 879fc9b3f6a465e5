import { spawnSync } from "node:child_process";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { createApi } from "../../../src/api/create-api.ts";
import { WAITING } from "../testing/sample-agents.ts";
import { createSampleFleet } from "../testing/sample-fleet.ts";
import { type SampleHub, startSampleHub } from "../testing/sample-hub.ts";

let hub: SampleHub;
beforeEach(async () => {
  hub = await startSampleHub(createApi, createSampleFleet());
});
afterEach(async () => hub.close());

const TOKEN = "muster_join_sample";

describe("muster cluster join", () => {
  it("prints one command, which a shell reads as it is meant; the token goes through its standard input, never its arguments", async () => {
    const { out, err, code } = await hub.muster([
      "cluster",
      "join",
      "eu-west-1",
      "--kube-context",
      "it's here",
      "--",
      "--set",
      "rbac.namespaces={web,db}",
    ]);
    expect(code).toBe(0);
    expect(err).toContain("good for one agent, until 2026-10-05T03:27:00.000Z");
    const shown = spawnSync(
      "sh",
      ["-c", `helm() { for each in "$@"; do printf '%s\\n' "$each"; done; printf '%s\\n' @@@; cat; }\n${out}`],
      { encoding: "utf8" },
    );
    const [args = "", values = ""] = shown.stdout.split("@@@\n");
    expect(args.trim().split("\n")).toEqual([
      "install",
      "muster-agent",
      "oci://ghcr.io/muster-gitops/charts/muster-agent",
      "--version",
      "0.1.0",
      "--namespace",
      "muster-agent",
      "--create-namespace",
      "--kube-context",
      "it's here",
      "-f",
      "-",
      "--set",
      "rbac.namespaces={web,db}",
    ]);
    expect(parse(values)).toEqual({
      cluster: { name: "eu-west-1" },
      trustDomain: "muster.local",
      hub: { address: "hub.example:8443", enrolAddress: "hub.example:8444" },
      nats: { url: "nats://nats.example:4222" },
      trust: { ca: expect.stringContaining("BEGIN CERTIFICATE"), signingKeys: expect.stringContaining("BEGIN PUBLIC KEY") },
      enrolment: { token: TOKEN },
    });
  });

  it("keeps the token out of the chart's values with --from-secret", async () => {
    const { out } = await hub.muster(["cluster", "join", "eu-west-1", "--from-secret"]);
    const secret = /kubectl create -f - <<'EOF'\n([\s\S]*?)EOF/.exec(out)?.[1] ?? "";
    expect(parse(secret)).toMatchObject({ kind: "Secret", metadata: { namespace: "muster-agent" }, stringData: { token: TOKEN } });
    const values = /helm install [^\n]*\n([\s\S]*?)EOF/.exec(out)?.[1] ?? "";
    expect(parse(values)).toMatchObject({ enrolment: { existingSecret: "muster-enrolment" } });
    expect(values).not.toContain(TOKEN);
  });

  it("prints values for who installs by Git, and everything as JSON", async () => {
    const values = await hub.muster(["cluster", "join", "eu-west-1", "-o", "values"]);
    expect(parse(values.out)).toMatchObject({ enrolment: { token: TOKEN } });
    const json = await hub.muster(["cluster", "join", "eu-west-1", "-o", "json", "--ttl", "2h"]);
    expect(JSON.parse(json.out)).toMatchObject({ token: TOKEN, expiresAt: "2026-10-05T05:12:00.000Z" });
  });

  it.each(["15", "2d", "10s", "25h", "-1m"])("takes no --ttl of %s", async (ttl) => {
    expect(await hub.muster(["cluster", "join", "eu-west-1", `--ttl=${ttl}`])).toMatchObject({ code: 2, out: "" });
  });

  it("says which clusters there are, where Git declares no such one", async () => {
    const { code, err } = await hub.muster(["cluster", "join", "eu-west-2"]);
    expect([code, err]).toEqual([5, expect.stringContaining("eu-west-1")]);
  });
});

describe("muster token create", () => {
  it("prints the token alone", async () => {
    expect((await hub.muster(["token", "create", "eu-west-1"])).out).toBe(`${TOKEN}\n`);
  });
});

describe("muster get agents", () => {
  it("puts who waits for an approval first", async () => {
    const { out } = await hub.muster(["get", "agents", "-o", "wide"]);
    expect(out.split("\n")[1]).toMatch(/Pending .* 9c1b2a3f9c1b2a3f \(another-identity\)/);
    expect(out).toMatch(/eu-west-1 +Enrolled +yes +3f2a1b9c3f2a1b9c/);
  });
});

describe("muster cluster approve", () => {
  it("approves the one that it shows, and only that one if it is named", async () => {
    const waiting = JSON.parse((await hub.muster(["get", "agents", "-o", "json"])).out) as {
      items?: { cluster: string; pending?: object }[];
    };
    const cluster = (waiting.items ?? []).find(({ pending }) => pending)?.cluster ?? "";
    expect(await hub.muster(["cluster", "approve", cluster, "--fingerprint", "0".repeat(16)])).toMatchObject({ code: 5, out: "" });
    expect(await hub.muster(["cluster", "approve", cluster, "--fingerprint", WAITING.slice(0, 8)])).toMatchObject({ code: 5, out: "" });
    const { code, out } = await hub.muster(["cluster", "approve", cluster, "--fingerprint", WAITING.slice(0, 16)]);
    expect([code, out]).toEqual([0, `The agent 9c1b2a3f9c1b2a3f acts for ${cluster} now.\n`]);
    expect(await hub.muster(["cluster", "approve", cluster])).toMatchObject({ code: 5, err: expect.stringContaining("AGENT_NOT_PENDING") });
  });
});

describe("muster cluster rotate", () => {
  it("says where the new fingerprint will be seen", async () => {
    const { code, out } = await hub.muster(["cluster", "rotate", "eu-west-1"]);
    expect([code, out]).toEqual([0, expect.stringContaining("muster get agents eu-west-1")]);
  });
});

describe("muster hub backup", () => {
  it("prints what the hub gives", async () => {
    expect((await hub.muster(["hub", "backup"])).out).toBe("an age file\n");
  });
});

describe("muster cluster revoke", () => {
  it("says what is left", async () => {
    const { code, out } = await hub.muster(["cluster", "revoke", "eu-west-1"]);
    expect([code, out]).toEqual([0, expect.stringContaining("muster cluster join eu-west-1")]);
  });
});
