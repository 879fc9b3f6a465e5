import { CodedError } from "@muster/shared/errors";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BEARER, cluster, createSampleApi, event, type SampleApi } from "./testing/sample-api.ts";

let api: SampleApi;
beforeEach(async () => {
  api = await createSampleApi();
});
afterEach(() => api.app.close());

describe("a list", () => {
  it("is paged by name and filtered by the labels of clusters", async () => {
    const names = async (url: string) => ((await api.get(url)).body["items"] as { name: string }[]).map(({ name }) => name);
    expect(await names("/api/v1/clusters")).toEqual(["one", "two"]);
    expect(await names("/api/v1/clusters?labelSelector=env%20in%20(prod)")).toEqual(["one"]);
    expect(await names("/api/v1/clusters?labelSelector=%21env")).toEqual([]);
    const { body } = await api.get("/api/v1/clusters?limit=1");
    expect(body).toMatchObject({ total: 2, continue: expect.any(String) });
    expect(await names(`/api/v1/clusters?limit=1&continue=${body["continue"]}`)).toEqual(["two"]);
  });

  it("of targets takes a cluster, a bundle and labels together", async () => {
    const keys = async (query: string) =>
      ((await api.get(`/api/v1/targets${query}`)).body["items"] as { bundle: string; cluster: string }[]).map(
        (one) => `${one.bundle}/${one.cluster}`,
      );
    expect(await keys("")).toEqual(["db/one", "web/one", "web/two"]);
    expect(await keys("?bundle=web")).toEqual(["web/one", "web/two"]);
    expect(await keys("?cluster=one&bundle=web")).toEqual(["web/one"]);
    expect(await keys("?bundle=web&labelSelector=env%3Dlab")).toEqual(["web/two"]);
  });

  it("of events goes on where it was, though newer events have come", async () => {
    const ids = (body: Record<string, unknown>) => (body["items"] as { id: number }[]).map(({ id }) => id);
    const first = (await api.get("/api/v1/events?limit=2")).body;
    expect(ids(first)).toEqual([3, 2]);
    api.data.events = [event(5), event(4), ...api.data.events];
    expect(ids((await api.get(`/api/v1/events?limit=2&continue=${first["continue"]}`)).body)).toEqual([1]);
  });

  it.each(["?limit=0", "?limit=1001", "?limit=x", "?continue=nonsense", "?labelSelector=a%3D%3D%3Db"])(
    "refuses %s with a code",
    async (query) => {
      const { status, body } = await api.get(`/api/v1/clusters${query}`);
      expect([status, body]).toMatchObject([400, { error: { code: "API_BAD_REQUEST" } }]);
    },
  );

  it.each([
    ["/api/v1/clusters?labelselector=env%3Dprod", "labelselector"],
    ["/api/v1/targets?cluster=one&Bundle=web", "Bundle"],
    ["/api/v1/events?labelSelector=env%3Dprod", "labelSelector"],
    ["/api/v1/fleet?labelSelector=env%3Dprod", "labelSelector"],
    ["/api/v1/watch?cluster=one", "cluster"],
  ])("never shows more than was asked for: %s is refused, and %s named", async (url, parameter) => {
    const { status, body } = await api.get(url);
    expect([status, body]).toMatchObject([400, { error: { code: "API_BAD_REQUEST", message: expect.stringContaining(`"${parameter}"`) } }]);
  });

  it("is never empty because Git was not read yet: then it says so, and the fleet shows why", async () => {
    api.data.loaded = false;
    api.data.clusters = [];
    for (const url of ["/clusters", "/bundles", "/targets", "/drift", "/revisions", "/events", "/clusters/one", "/targets/web/one"])
      expect([url, await api.get(`/api/v1${url}`)]).toMatchObject([url, { status: 503, body: { error: { code: "API_NOT_READY" } } }]);
    expect(await api.get("/api/v1/fleet")).toMatchObject({ status: 200, body: { healthy: false } });
  });
});

describe("a single thing", () => {
  it.each(["/clusters/three", "/bundles/three", "/targets/web/three", "/targets/three/one"])(
    "that is not there is a 404 with its name: %s",
    async (url) => {
      const { status, body } = await api.get(`/api/v1${url}`);
      expect([status, body]).toMatchObject([404, { error: { code: "API_NOT_FOUND", message: expect.stringContaining("three") } }]);
    },
  );

  it("is told with everything that describe shows", async () => {
    const { body } = await api.get("/api/v1/targets/web/one");
    expect(body).toEqual(api.data.targets[0]);
  });
});

describe("every answer", () => {
  it("carries an id, forbids caching and sniffing, and allows no page to be made of it", async () => {
    const { headers } = await api.get("/api/v1/fleet");
    expect(headers).toMatchObject({
      "x-request-id": expect.stringMatching(/^[0-9a-f-]{36}$/),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    });
  });

  it("to something that does not exist has a code, for whoever has the token", async () => {
    expect(await api.get("/api/v2/fleet")).toMatchObject({ status: 404, body: { error: { code: "API_NOT_FOUND" } } });
    expect(await api.get("/api/v1/clusters/%ff")).toMatchObject({ status: 400, body: { error: { code: "API_BAD_REQUEST" } } });
  });

  it("to an unexpected failure keeps its reason in the log", async () => {
    Object.defineProperty(api.data, "clusters", {
      get: () => {
        throw new Error("at /secret/place");
      },
    });
    const { status, body } = await api.get("/api/v1/clusters");
    expect([status, body]).toEqual([500, { error: { code: "INTERNAL", message: "Internal error", hint: expect.any(String) } }]);
  });
});

describe("a command", () => {
  it("never says that there is no such cluster before Git was read", async () => {
    const { app, data } = await createSampleApi({
      commands: {
        rotate: async () => {},
        reconcile: async (name) => {
          throw new CodedError("API_NOT_FOUND", `There is no cluster ${name}`);
        },
        inspect: async (name) => {
          throw new CodedError("API_NOT_FOUND", `There is no cluster ${name}`);
        },
      },
    });
    const codes = async () => {
      const answers = [
        await app.inject({ method: "POST", url: "/api/v1/clusters/one/reconcile", headers: BEARER }),
        await app.inject({ url: "/api/v1/targets/web/one/objects", headers: BEARER }),
      ];
      return answers.map((answer) => [answer.statusCode, answer.json().error.code]);
    };
    data.loaded = false;
    expect(await codes()).toEqual(Array(2).fill([503, "API_NOT_READY"]));
    data.loaded = true;
    expect(await codes()).toEqual(Array(2).fill([404, "API_NOT_FOUND"]));
    await app.close();
  });

  it("asks an agent to reconcile, all or one bundle", async () => {
    const post = (payload?: object) =>
      api.app.inject({ method: "POST", url: "/api/v1/clusters/one/reconcile", headers: BEARER, ...(payload && { payload }) });
    expect((await post()).statusCode).toBe(202);
    expect((await post({ bundle: "web" })).statusCode).toBe(202);
    expect(api.reconciled).toEqual(["one", "web/one"]);
    expect((await post({ bundel: "web" })).statusCode).toBe(400);
    expect((await post({ bundle: "x".repeat(70_000) })).statusCode).toBe(413);
  });
});

describe("metrics", () => {
  it("name routes by their pattern, so that names of things never multiply the series", async () => {
    for (const name of ["one", "two", "nowhere"]) await api.get(`/api/v1/clusters/${name}`);
    await api.get("/no/such/path");
    const { text } = (await api.get("/metrics", null)).body as { text: string };
    const routes = new Set([...text.matchAll(/route="([^"]*)"/g)].map(([, route]) => route));
    expect([...routes].sort()).toEqual(["/api/v1/clusters/:name", "none"]);
  });
});

describe("the sample and the description", () => {
  it("agree: what the views have, the API shows", async () => {
    expect((await api.get("/api/v1/clusters/one")).body).toEqual(cluster("one", { env: "prod" }));
    expect((await api.get("/api/v1/drift")).body["items"]).toMatchObject([{ cluster: "one", drift: { kind: "missing" } }]);
    expect((await api.get("/api/v1/revisions")).body["items"]).toEqual(api.data.revisions);
    expect((await api.get("/api/v1/events")).body["items"]).toEqual(api.data.events);
  });
});
