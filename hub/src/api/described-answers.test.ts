import { createHmac } from "node:crypto";
import { CodedError } from "@muster/shared/errors";
import { createMetrics } from "@muster/shared/telemetry";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { BEARER, createSampleApi, type SampleApi, SECRET } from "./testing/sample-api.ts";

type Content = Record<string, { readonly schema: object }>;
interface Operation {
  readonly description?: string;
  readonly security?: readonly Record<string, unknown>[];
  readonly requestBody?: { readonly required?: boolean; readonly content: Content };
  readonly responses: Record<string, { readonly description: string; readonly content?: Content }>;
}
interface Description {
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, object>; readonly securitySchemes: Record<string, object> };
}
interface CaseOptions {
  readonly headers?: object;
  readonly payload?: string;
}
/** Method and path as they are called, path as it is described, status. */
type Case = readonly [request: string, path: string, status: number, options?: CaseOptions];

let api: SampleApi;
let description: Description;
const faults = { offline: false, queries: false, metrics: false };
beforeAll(async () => {
  const metrics = createMetrics();
  const orOffline = <T>(value: T): T => {
    if (faults.offline) throw new CodedError("AGENT_OFFLINE", "The agent is not connected");
    return value;
  };
  api = await createSampleApi({
    commands: {
      reconcile: async (name) => {
        if (name !== "one") throw new CodedError("API_NOT_FOUND", `There is no cluster ${name}`);
        orOffline(undefined);
      },
      rotate: async () => {},
      inspect: async (name) => {
        if (name !== "one") throw new CodedError("API_NOT_FOUND", `There is no cluster ${name}`);
        return orOffline({ items: [] });
      },
    },
    metrics: Object.assign(Object.create(metrics), {
      text: async () => {
        if (faults.metrics) throw new Error("no figures");
        return metrics.text();
      },
    }),
  });
  const { clusters } = api.data;
  Object.defineProperty(api.data, "clusters", {
    get: () => {
      if (faults.queries) throw new Error("broken");
      return clusters;
    },
  });
  description = (await api.get("/openapi.json")).body as unknown as Description;
});
afterAll(() => api.app.close());
afterEach(() => {
  api.data.loaded = true;
  Object.assign(faults, { offline: false, queries: false, metrics: false });
});

const signed = (payload: string) => ({
  payload,
  headers: {
    "content-type": "application/json",
    "x-hub-signature-256": `sha256=${createHmac("sha256", SECRET).update(payload).digest("hex")}`,
  },
});
const json = (payload: string) => ({ payload, headers: { ...BEARER, "content-type": "application/json" } });
const anonymous = { headers: {} };
const HOOK = "POST /api/v1/hooks/git";
const RECONCILE = "POST /api/v1/clusters/one/reconcile";
const RECONCILE_PATH = "/api/v1/clusters/{name}/reconcile";
const OBJECTS_PATH = "/api/v1/targets/{bundle}/{cluster}/objects";
const LISTS = [
  "/api/v1/clusters",
  "/api/v1/bundles",
  "/api/v1/targets",
  "/api/v1/drift",
  "/api/v1/revisions",
  "/api/v1/events",
  "/api/v1/agents",
];
const SINGLES = [
  ["/api/v1/clusters/{name}", "/api/v1/clusters/one", "/api/v1/clusters/nowhere"],
  ["/api/v1/bundles/{name}", "/api/v1/bundles/web", "/api/v1/bundles/nowhere"],
  ["/api/v1/targets/{bundle}/{cluster}", "/api/v1/targets/web/one", "/api/v1/targets/web/nowhere"],
  ["/api/v1/agents/{cluster}", "/api/v1/agents/one", "/api/v1/agents/nowhere"],
] as const;

/** What is done about the agent of a cluster: the status of a success. */
const AGENT_ACTIONS = { token: 201, approve: 200, revoke: 200, rotate: 202 } as const;

const CASES: readonly Case[] = [
  ["GET /healthz", "/healthz", 200],
  ["GET /readyz", "/readyz", 200],
  ["GET /metrics", "/metrics", 200],
  ["GET /openapi.json", "/openapi.json", 200],
  ["GET /openapi.json?x=1", "/openapi.json", 400],
  ["GET /openapi.json", "/openapi.json", 401, anonymous],
  ["GET /api/v1/fleet", "/api/v1/fleet", 200],
  ["GET /api/v1/fleet?x=1", "/api/v1/fleet", 400],
  ["GET /api/v1/fleet", "/api/v1/fleet", 401, anonymous],
  ["GET /api/v1/watch?x=1", "/api/v1/watch", 400],
  ["GET /api/v1/watch", "/api/v1/watch", 401, anonymous],
  [RECONCILE, RECONCILE_PATH, 202, { headers: BEARER }],
  [RECONCILE, RECONCILE_PATH, 400, json('{"bundel":"web"}')],
  [RECONCILE, RECONCILE_PATH, 400, json("{")],
  [RECONCILE, RECONCILE_PATH, 400, { payload: "<a/>", headers: { ...BEARER, "content-type": "text/xml" } }],
  [RECONCILE, RECONCILE_PATH, 401, anonymous],
  ["POST /api/v1/clusters/nowhere/reconcile", RECONCILE_PATH, 404, json("{}")],
  [RECONCILE, RECONCILE_PATH, 413, json(JSON.stringify({ bundle: "x".repeat(70_000) }))],
  ["GET /api/v1/targets/web/one/objects", OBJECTS_PATH, 200],
  ["GET /api/v1/targets/web/one/objects?x=1", OBJECTS_PATH, 400],
  ["GET /api/v1/targets/web/one/objects", OBJECTS_PATH, 401, anonymous],
  ["GET /api/v1/targets/web/nowhere/objects", OBJECTS_PATH, 404],
  [HOOK, "/api/v1/hooks/git", 202, signed("{}")],
  [HOOK, "/api/v1/hooks/git", 202, signed("")],
  [HOOK, "/api/v1/hooks/git", 401, { payload: "{}", headers: { "x-hub-signature-256": "sha256=00" } }],
  [HOOK, "/api/v1/hooks/git", 413, signed(`"${"x".repeat(257 * 1024)}"`)],
  ...Object.entries(AGENT_ACTIONS).flatMap(([action, status]): Case[] => {
    const [path, call] = [`/api/v1/agents/{cluster}/${action}`, `POST /api/v1/agents/two/${action}`];
    return [
      [call, path, status, { headers: BEARER }],
      [call, path, 400, json('{"x":1}')],
      [call, path, 401, anonymous],
      [`POST /api/v1/agents/nowhere/${action}`, path, 404, json("{}")],
      [call, path, 413, json(JSON.stringify({ x: "x".repeat(70_000) }))],
    ];
  }),
  ["POST /api/v1/agents/one/approve", "/api/v1/agents/{cluster}/approve", 404, json("{}")],
  ["POST /api/v1/backup", "/api/v1/backup", 200, { headers: BEARER }],
  ["POST /api/v1/backup", "/api/v1/backup", 400, json('{"recipients":["age1x"]}')],
  ["POST /api/v1/backup", "/api/v1/backup", 401, anonymous],
  ["POST /api/v1/backup", "/api/v1/backup", 413, json(JSON.stringify({ x: "x".repeat(70_000) }))],
  ...LISTS.flatMap((path): Case[] => [
    [`GET ${path}`, path, 200],
    [`GET ${path}?x=1`, path, 400],
    [`GET ${path}`, path, 401, anonymous],
  ]),
  ...SINGLES.flatMap(([path, there, nowhere]): Case[] => [
    [`GET ${there}`, path, 200],
    [`GET ${there}?x=1`, path, 400],
    [`GET ${there}`, path, 401, anonymous],
    [`GET ${nowhere}`, path, 404],
  ]),
];

/** Calls it, and holds what is answered against what is described. */
async function check([request, path, status, { headers = BEARER, payload } = {}]: Case): Promise<void> {
  const [method = "", url = ""] = request.split(" ");
  const answer = await api.app.inject({ method: method as "GET", url, headers, ...(payload !== undefined && { payload }) } as never);
  expect([request, answer.statusCode, answer.body.slice(0, 200)]).toEqual([request, status, expect.any(String)]);
  const described = description.paths[path]?.[method.toLowerCase()]?.responses[String(status)];
  const type = String(answer.headers["content-type"]).split(";")[0] ?? "";
  expect([request, status, Object.keys(described?.content ?? {})]).toEqual([request, status, [type]]);
  if (type !== "application/json") return;
  const schema = { ...described?.content?.[type]?.schema, components: description.components };
  const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(schema);
  expect([request, status, validate(answer.json()), validate.errors]).toEqual([request, status, true, null]);
}

describe("what the API answers stands in its description", () => {
  it.each(CASES.map((one) => [`${one[0]} with ${one[2]}`, one] as const))("%s", (_, one) => check(one));

  it("and every operation is called here, with a failure", () => {
    const called = new Set(CASES.map(([request, path]) => `${request.split(" ")[0]?.toLowerCase()} ${path}`));
    const all = Object.entries(description.paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`));
    expect([...called].sort()).toEqual(all.sort());
    const failing = new Set(CASES.filter(([, , status]) => status >= 400).map(([, path]) => path));
    expect(Object.keys(description.paths).filter((path) => !failing.has(path))).toEqual(["/healthz", "/readyz", "/metrics"]);
  });

  it("before Git was read", async () => {
    api.data.loaded = false;
    await check(["GET /readyz", "/readyz", 503]);
    for (const path of LISTS) await check([`GET ${path}`, path, 503]);
    for (const [path, there] of SINGLES) await check([`GET ${there}`, path, 503]);
    await check([RECONCILE, RECONCILE_PATH, 503, json("{}")]);
    await check(["GET /api/v1/targets/web/one/objects", OBJECTS_PATH, 503]);
  });

  it("while the agent is away", async () => {
    faults.offline = true;
    await check([RECONCILE, RECONCILE_PATH, 503, json("{}")]);
    await check(["GET /api/v1/targets/web/one/objects", OBJECTS_PATH, 503]);
  });

  it("when the hub itself fails", async () => {
    faults.queries = true;
    await check(["GET /api/v1/clusters", "/api/v1/clusters", 500]);
    faults.metrics = true;
    await check(["GET /metrics", "/metrics", 500]);
    for (const { responses } of Object.values(description.paths).flatMap((methods) => Object.values(methods)))
      expect(Object.keys(responses)).toContain("500");
  });

  it("for the watch: its stream, and that too many are open", async () => {
    const watch = description.paths["/api/v1/watch"]?.["get"];
    const url = `${await api.app.listen({ port: 0, host: "127.0.0.1" })}/api/v1/watch`;
    const over = new AbortController();
    const open = () => fetch(url, { headers: BEARER, signal: over.signal });
    const answers = await Promise.all(Array.from({ length: 257 }, open));
    const statuses = new Map(answers.map((answer) => [answer.status, answer.headers.get("content-type")?.split(";")[0]]));
    over.abort();
    expect([...statuses].sort()).toEqual([
      [200, "text/event-stream"],
      [429, "application/json"],
    ]);
    for (const [status, type] of statuses) expect(Object.keys(watch?.responses[String(status)]?.content ?? {})).toEqual([type]);
  });
});

describe("the description says", () => {
  it("when a notice of each kind is sent, and that a reader asks for everything on `fleet`", () => {
    const text = description.paths["/api/v1/watch"]?.["get"]?.description ?? "";
    const kinds = [...text.matchAll(/^- `(\w+)`: ./gm)].map(([, kind]) => kind);
    expect(kinds).toEqual(["fleet", "cluster", "target", "drift", "revision", "event"]);
    expect(text).toMatch(/^- `fleet`: .*ask for all that you show/m);
  });

  it("how a webhook is signed, what its body is, and for which hosts it works", () => {
    const hook = description.paths["/api/v1/hooks/git"]?.["post"];
    const scheme = Object.keys(hook?.security?.[0] ?? {})[0] ?? "";
    expect(description.components.securitySchemes[scheme]).toMatchObject({ in: "header", name: "X-Hub-Signature-256" });
    expect(hook?.requestBody?.content["application/json"]?.schema).toMatchObject({ properties: { ref: {}, repository: {} } });
    for (const host of ["GitHub", "Gitea", "Forgejo", "GitLab", "Bitbucket"]) expect(hook?.description).toContain(host);
  });

  it("which bodies may be left out", () => {
    const required = Object.entries(description.paths).flatMap(([path, methods]) =>
      Object.values(methods).flatMap(({ requestBody }) => (requestBody ? [[path, requestBody.required]] : [])),
    );
    const actions = Object.keys(AGENT_ACTIONS).map((action) => [`/api/v1/agents/{cluster}/${action}`, false]);
    expect(Object.fromEntries(required)).toEqual({
      [RECONCILE_PATH]: false,
      "/api/v1/hooks/git": true,
      "/api/v1/backup": false,
      ...Object.fromEntries(actions),
    });
  });
});
