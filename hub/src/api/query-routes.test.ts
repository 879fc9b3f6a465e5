import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createSampleApi, type SampleApi } from "./testing/sample-api.ts";

let api: SampleApi;
beforeAll(async () => {
  api = await createSampleApi();
});
afterAll(() => api.app.close());

describe("a list of events", () => {
  it("is read on with its token, but not from a hub that has started anew: its ids are of other events", async () => {
    const first = await api.get("/api/v1/events?limit=2");
    const next = `/api/v1/events?limit=2&continue=${String(first.body["continue"])}`;
    expect((await api.get(next)).body).toMatchObject({ items: [{ id: 1 }] });
    const restarted = await createSampleApi();
    const { status, body } = await restarted.get(next);
    expect([status, body]).toMatchObject([400, { error: { code: "API_BAD_REQUEST", message: expect.stringContaining("started anew") } }]);
    await restarted.app.close();
  });

  it("is the only one whose token does not outlive the hub", async () => {
    const restarted = await createSampleApi();
    for (const list of ["clusters", "targets", "revisions"]) {
      const token = String((await api.get(`/api/v1/${list}?limit=1`)).body["continue"]);
      expect((await restarted.get(`/api/v1/${list}?limit=1&continue=${token}`)).status).toBe(200);
    }
    await restarted.app.close();
  });
});

it("the objects of a target come with what their agent says of those that are missing", async () => {
  const { body } = await api.get("/api/v1/targets/web/one/objects");
  expect(body).toMatchObject({ items: [{ bundle: "web" }], truncated: "7 more objects are not shown" });
});

it("the objects of a target come with the managers that own fields of them, too", async () => {
  const ref = { group: "", kind: "ConfigMap", namespace: "apps", name: "web" };
  const object = { ref, bundle: "web", health: "Current" as const, message: "", uid: "u", lastAction: "unchanged" };
  const sharedWith = [{ manager: "other-tool", paths: [".metadata.labels.team", ".data.x"] }];
  const commands = {
    rotate: async () => {},
    reconcile: async () => {},
    inspect: async () => ({ items: [{ ...object, sharedWith }, object] }),
  };
  const shared = await createSampleApi({ commands });
  expect((await shared.get("/api/v1/targets/web/one/objects")).body).toEqual({ items: [{ ...object, sharedWith }, object] });
  await shared.app.close();
});
