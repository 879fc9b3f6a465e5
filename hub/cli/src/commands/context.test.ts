import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createApi } from "../../../src/api/create-api.ts";
import { createAuthority, issueServerCertificate } from "../../../src/identity/certificates.ts";
import { createSampleFleet } from "../testing/sample-fleet.ts";
import { runMuster, startSampleHub } from "../testing/sample-hub.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "muster-context-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const muster = (...argv: string[]) => runMuster(argv, { env: { XDG_CONFIG_HOME: folder } });
const configFile = () => join(folder, "muster", "config.yaml");

describe("muster context", () => {
  it("adds, lists, chooses, changes and forgets contexts", async () => {
    expect((await muster("context", "list")).out).toContain("No contexts.");
    expect((await muster("context", "set", "prod", "--url", "https://prod.example/", "--token-file", "/keys/prod")).out).toBe(
      "Added prod: https://prod.example, in use.\n",
    );
    expect((await muster("context", "set", "lab", "--url", "http://lab.example:8080")).out).toBe("Added lab: http://lab.example:8080.\n");
    expect((await muster("context", "use", "lab")).code).toBe(0);
    await muster("context", "set", "lab", "--token-file", "/keys/lab");
    expect((await muster("context", "list")).out).toBe(
      "IN USE   NAME   URL                       TOKEN FILE   CA FILE\n*        lab    http://lab.example:8080   /keys/lab    -\n         prod   https://prod.example      /keys/prod   -\n",
    );
    expect((await muster("context", "delete", "lab")).out).toBe("Deleted lab. No context is in use now.\n");
    const { code, err } = await muster("get", "clusters");
    expect([code, err]).toEqual([2, expect.stringContaining("There are: prod")]);
  });

  it("the file is its owner's only, and holds no token", async () => {
    const tokenFile = join(folder, "token");
    writeFileSync(tokenFile, "very-secret");
    await muster("context", "set", "prod", "--url", "https://prod.example", "--token-file", tokenFile);
    expect(statSync(configFile()).mode & 0o777).toBe(0o600);
    expect(readFileSync(configFile(), "utf8")).not.toContain("very-secret");
  });

  it("refuses URLs that are none, or that hold a password", async () => {
    for (const url of ["prod.example", "ftp://prod.example", "https://ada:secret@prod.example"]) {
      const { code, err } = await muster("context", "set", "prod", "--url", url);
      expect(code).toBe(2);
      if (url.includes("secret")) expect(err).not.toContain("secret");
    }
  });

  it("a damaged file is told, never overwritten by what it seems to hold", async () => {
    await muster("context", "set", "prod", "--url", "https://prod.example");
    writeFileSync(configFile(), "contexts: [");
    expect((await muster("context", "set", "lab", "--url", "https://lab.example")).code).toBe(2);
    expect(readFileSync(configFile(), "utf8")).toBe("contexts: [");
  });
});

describe("the connection", () => {
  it("comes from the context in use", async () => {
    const hub = await startSampleHub(createApi, createSampleFleet());
    try {
      await muster("context", "set", "sample", "--url", hub.url, "--token-file", hub.tokenFile);
      expect((await muster("get", "clusters", "-o", "name")).code).toBe(0);
      expect((await muster("get", "clusters", "--context", "none")).code).toBe(2);
    } finally {
      await hub.close();
    }
  });

  it("another URL is never sent the token of the context", async () => {
    const hub = await startSampleHub(createApi, createSampleFleet());
    try {
      await muster("context", "set", "prod", "--url", "https://prod.example", "--token-file", hub.tokenFile);
      const { code, err } = await muster("get", "clusters", "--url", hub.url);
      expect([code, err]).toEqual([4, expect.stringContaining("No token file is set")]);
    } finally {
      await hub.close();
    }
  });

  it("a wrong token ends with 4 and names its file, not itself", async () => {
    const hub = await startSampleHub(createApi, createSampleFleet());
    const wrong = join(folder, "wrong");
    writeFileSync(wrong, "wrong-token");
    try {
      const { code, err } = await hub.muster(["get", "clusters"], { env: { MUSTER_TOKEN_FILE: wrong } });
      expect(code).toBe(4);
      expect(err).toContain(wrong);
      expect(err).not.toContain("wrong-token");
    } finally {
      await hub.close();
    }
  });

  it("a CA of one's own is trusted if it is named, and only then", async () => {
    const authority = await createAuthority("test.example");
    const hub = await startSampleHub(createApi, createSampleFleet(), await issueServerCertificate(authority, ["127.0.0.1"]));
    const caFile = join(folder, "ca.pem");
    writeFileSync(caFile, authority.cert);
    try {
      expect((await hub.muster(["get", "clusters", "--ca-file", caFile])).code).toBe(0);
      const { code, err } = await hub.muster(["get", "clusters"]);
      expect([code, err]).toEqual([3, expect.stringMatching(/is not trusted \[HUB_UNREACHABLE\]\n.*does not know\nfix: .*--ca-file/)]);
      writeFileSync(caFile, "no certificate");
      expect(await hub.muster(["get", "clusters", "--ca-file", caFile])).toMatchObject({
        code: 2,
        err: expect.stringContaining("holds no certificate"),
      });
    } finally {
      await hub.close();
    }
  });

  it("a token that goes over the network in clear text is told", async () => {
    const token = join(folder, "token");
    writeFileSync(token, "t");
    const askedOf = (url: string) => runMuster(["status", "--url", url, "--token-file", token], { signal: AbortSignal.timeout(1) });
    expect((await askedOf("http://hub.invalid")).err).toContain("in clear text");
    for (const url of ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "https://hub.invalid"])
      expect((await askedOf(url)).err).not.toContain("clear text");
  });

  it("a token file that cannot be used is told before anything is sent", async () => {
    const empty = join(folder, "empty");
    writeFileSync(empty, "\n");
    const two = join(folder, "two");
    writeFileSync(two, "one\ntwo\n");
    for (const file of [empty, two, join(folder, "missing")]) {
      const { code, err } = await runMuster(["status", "--url", "http://127.0.0.1:1", "--token-file", file]);
      expect([code, err]).toEqual([2, expect.stringContaining("[CLI_CONTEXT]")]);
    }
  });
});
