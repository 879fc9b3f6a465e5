import { connect } from "node:net";
import type { RouteOptions } from "fastify";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BEARER, createSampleApi, type SampleApi, TOKEN } from "./testing/sample-api.ts";

let api: SampleApi;
beforeAll(async () => {
  api = await createSampleApi();
});
afterAll(() => api.app.close());

/** Sends a request line as it is; clients in between would tidy it up. */
function send(port: number, line: string, headers: readonly string[] = []): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () =>
      socket.end(`${line}\r\nHost: hub\r\nConnection: close\r\n${headers.map((header) => `${header}\r\n`).join("")}\r\n`),
    );
    let text = "";
    socket.on("data", (bytes) => {
      text += bytes.toString();
    });
    socket.on("end", () => resolve(text));
    socket.on("error", reject);
  });
}

describe("the token", () => {
  /** Everything that answers without it. A new route is closed until it stands here. */
  const OPEN = ["GET /healthz", "GET /readyz", "GET /metrics", "POST /api/v1/hooks/git"];

  it("is asked for by every route but those that are meant to be open", async () => {
    await api.app.ready();
    const routes: string[] = [];
    const described = Object.entries((api.app.swagger() as { paths: Record<string, object> }).paths);
    for (const [path, methods] of described)
      for (const method of Object.keys(methods)) routes.push(`${method.toUpperCase()} ${path.replaceAll(/\{\w+\}/g, "x")}`);
    expect(routes.length).toBeGreaterThan(14);
    const answers = await Promise.all(
      routes.map(async (route) => {
        const [method = "", url = ""] = route.split(" ");
        return [route, (await api.app.inject({ method: method as RouteOptions["method"] as "GET", url })).statusCode] as const;
      }),
    );
    const open = answers.filter(([, status]) => status !== 401).map(([route]) => route);
    // The webhook has a credential of its own, and answers 401 without it, too.
    expect(open.sort()).toEqual(OPEN.filter((route) => !route.includes("hooks")).sort());
  });

  it.each([
    "GET /%61pi/v1/fleet",
    "GET //api/v1/fleet",
    "GET /api/v1/./fleet",
    "GET /api/v1/x/../fleet",
    "GET /api/v1/fleet/",
    "GET /api/v1/fleet?x=/healthz",
    "GET /api/v1/fleet;/healthz",
    "GET /API/v1/fleet",
    "GET /healthz/../api/v1/fleet",
    "GET http://hub/api/v1/fleet",
    "GET http://hub/%61pi/v1/clusters",
    "HEAD /api/v1/fleet",
    "POST /%61pi/v1/clusters/one/reconcile",
    "GET /nowhere",
    "GET /openapi.json",
  ])("cannot be got around with %s", async (line) => {
    const url = await api.app.listen({ port: 0, host: "127.0.0.1" }).catch(() => undefined);
    const { port } = api.app.server.address() as { port: number };
    expect(url === undefined || url.includes(String(port))).toBe(true);
    const answer = await send(port, `${line} HTTP/1.1`, ["Content-Length: 0"]);
    expect(answer).toMatch(/^HTTP\/1\.1 401 /);
    expect(answer).not.toContain("git.example");
    expect(api.reconciled).toEqual([]);
  });

  it.each([
    ["none", {}],
    ["an empty one", { authorization: "Bearer " }],
    ["another one", { authorization: "Bearer other" }],
    ["a longer one", { authorization: `Bearer ${TOKEN}x` }],
    ["another scheme", { authorization: `Basic ${Buffer.from(`x:${TOKEN}`).toString("base64")}` }],
    ["two", { authorization: `Bearer ${TOKEN}, Bearer other` }],
  ])("is not replaced by %s", async (_, headers) => {
    const answer = await api.app.inject({ url: "/api/v1/fleet", headers });
    expect(answer.statusCode).toBe(401);
    expect(answer.headers["www-authenticate"]).toBe("Bearer");
    expect(answer.json()).toEqual({ error: { code: "API_UNAUTHORIZED", message: expect.any(String), hint: expect.any(String) } });
  });

  it("is never empty: a hub without one lets nobody in", async () => {
    const { app } = await createSampleApi({ token: () => "" });
    for (const authorization of ["Bearer ", "Bearer", ""])
      expect((await app.inject({ url: "/api/v1/fleet", headers: { authorization } })).statusCode).toBe(401);
    await app.close();
  });

  it("can be replaced while the hub runs", async () => {
    const { app, data } = await createSampleApi();
    expect((await app.inject({ url: "/api/v1/fleet", headers: BEARER })).statusCode).toBe(200);
    data.token = "new";
    expect((await app.inject({ url: "/api/v1/fleet", headers: BEARER })).statusCode).toBe(401);
    expect((await app.inject({ url: "/api/v1/fleet", headers: { authorization: "bearer new" } })).statusCode).toBe(200);
    await app.close();
  });
});
