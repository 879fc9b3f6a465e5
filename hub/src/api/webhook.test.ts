import { createHmac } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createSampleApi, type SampleApi, SECRET } from "./testing/sample-api.ts";

let api: SampleApi;
beforeEach(async () => {
  api = await createSampleApi();
});
afterEach(() => api.app.close());

const sign = (body: string, secret = SECRET) => `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
const post = (body: string, signature: string | undefined = sign(body), type = "application/json") =>
  api.app.inject({
    method: "POST",
    url: "/api/v1/hooks/git",
    payload: body,
    headers: { "content-type": type, ...(signature !== undefined && { "x-hub-signature-256": signature }) },
  });
const pushOf = (url: string, ref?: string) => JSON.stringify({ ref, repository: { clone_url: url } });

describe("the webhook of the Git host", () => {
  it.each<[string, string | undefined]>([
    ["none", ""],
    ["one of another secret", sign("{}", "other")],
    ["one of another body", sign("{ }")],
    ["one of another algorithm", `sha1=${createHmac("sha1", SECRET).update("{}").digest("hex")}`],
    ["half of the right one", sign("{}").slice(0, 40)],
    ["one with more behind it", `${sign("{}")}00`],
  ])("does nothing for a signature that is %s", async (_, signature) => {
    const answer = await post("{}", signature);
    expect([answer.statusCode, answer.json().error.code]).toEqual([401, "HOOK_SIGNATURE"]);
    expect(api.looks).toEqual([]);
  });

  it("does nothing as long as there is no secret, whoever signs with an empty one", async () => {
    api.data.webhookSecret = "";
    expect((await post("{}", sign("{}", ""))).statusCode).toBe(401);
    expect(api.looks).toEqual([]);
  });

  it.each([
    ["a push of a configured URL", pushOf("https://git.example/acme/fleet.git", "refs/heads/main"), ["fleet"]],
    ["the URL without .git", pushOf("https://git.example/acme/fleet"), ["fleet"]],
    ["another branch than the source's", pushOf("https://git.example/acme/fleet.git", "refs/heads/topic"), []],
    ["the tag that the source watches", pushOf("https://git.example/acme/extra", "refs/tags/v2"), ["extra"]],
    ["a URL that nobody has configured", pushOf("https://evil.example/acme/fleet.git"), [undefined]],
    ["no repository", "{}", [undefined]],
    ["no JSON", "payload=%7B%7D", [undefined]],
    ["JSON that is no object", "[1]", [undefined]],
    ["nothing", "", [undefined]],
  ])("looks at what is configured, never at what it is told: %s", async (_, body, looks) => {
    expect((await post(body, sign(body), "application/x-www-form-urlencoded")).statusCode).toBe(202);
    expect(api.looks).toEqual(looks);
  });

  it("is refused with more than 256 KiB", async () => {
    const body = JSON.stringify({ x: "x".repeat(257 * 1024) });
    const answer = await post(body);
    expect([answer.statusCode, answer.json().error.code]).toEqual([413, "API_TOO_LARGE"]);
  });
});
