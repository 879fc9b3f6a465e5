import type { JsonObject, Manifest } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import { clusterToWire, eventToWire, exceptionToWire, inspectionToWire } from "../report/to-wire.ts";
import { deployment, type SsaRig, type SsaTest, site, startSsaRig } from "./testing/ssa-rig.ts";

let rig: SsaRig;
beforeAll(async () => {
  rig = await startSsaRig("told");
});
afterEach(() => rig?.stopAgents());
afterAll(() => rig?.stop());

const report = { drift: { mode: "report" as const, ignore: [] } };
const container = (more: JsonObject) => ({ spec: { template: { spec: { containers: [{ name: "web", image: "web:1", ...more }] } } } });

/** All that leaves the cluster, as it goes over the wire. */
function allTold({ reconciler, told }: SsaTest["agent"]): string {
  return JSON.stringify([
    clusterToWire(reconciler.report(undefined)),
    reconciler.exceptions().map(exceptionToWire),
    inspectionToWire("1", reconciler.inspect({})),
    told.map(eventToWire),
  ]);
}

describe("what drift tells", () => {
  it("is for each field what Git wants, what there is, who changed it and when", async () => {
    const { namespace, sync, edit, drift } = await rig.setUp();
    const web = deployment(namespace, { replicas: 2 });
    await sync([web], report);
    await edit(web, "kubectl-scale", { spec: { replicas: 5 } });
    await edit(web, "kubectl-set", container({ image: "web:2" }));
    await eventually(() =>
      expect(drift(web)?.fields).toMatchObject([
        { path: ".spec.replicas", wanted: "2", got: "5" },
        { path: ".spec.template.spec.containers[name=web].image", wanted: '"web:1"', got: '"web:2"' },
      ]),
    );
    // Each with its own manager, where it was not the last one.
    const managers = drift(web)?.fields?.map((field) => field.manager ?? drift(web)?.manager);
    expect(managers).toEqual(["kubectl-scale", "kubectl-set"]);
  });

  it("leaves out fields that somebody owns, too, and that are as Git has them; what is gone has no value", async () => {
    const { namespace, sync, applyAs, edit, drift } = await rig.setUp();
    const map = site(namespace, { a: "1", b: "2", c: "3" });
    await sync([map], report);
    await applyAs(site(namespace, { a: "1" }), "other-tool");
    await edit(map, "kubectl-edit", { data: { b: "4", c: null } });
    await eventually(() =>
      expect(drift(map)).toMatchObject({
        paths: [".data.b", ".data.c"],
        fields: [
          { path: ".data.b", wanted: '"2"', got: '"4"' },
          { path: ".data.c", wanted: '"3"' },
        ],
      }),
    );
    expect(drift(map)?.fields?.[1]).not.toHaveProperty("got");
  });

  it("holds no secret, whoever changed it and wherever it stood: not in the status, not in an event", async () => {
    const { namespace, agent, sync, edit, drift } = await rig.setUp();
    const [canary, edited] = ["canary-8305", "canary-9416"];
    const base64 = (text: string) => Buffer.from(text).toString("base64");
    const secret = (text: string): Manifest => ({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "s", namespace, annotations: { note: text } },
      data: { user: base64(text) },
    });
    const env = (text: string) => [{ name: "DB_PASSWORD", value: text }];
    const config = (text: string) => ({ "db.token": text, "app.ini": `[db]\npassword = ${text}\n`, url: `https://u:${text}@host/` });
    const web = deployment(namespace, {}, { env: env(canary), args: [`--api-key=${canary}`] });
    await sync([secret(canary), site(namespace, config(canary)), web], report);
    await edit(secret(canary), "kubectl-edit", { metadata: { annotations: { note: edited } }, data: { user: base64(edited) } });
    await edit(site(namespace, {}), "kubectl-edit", { data: config(edited) });
    await edit(web, "kubectl-edit", container({ env: env(edited), args: [`--api-key=${edited}`] }));
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ drifted: 3 }));
    expect(drift(secret(canary))?.fields).toEqual([
      { path: ".data.user", wanted: "***", got: "***" },
      { path: ".metadata.annotations.note", wanted: "***", got: "***" },
    ]);
    expect(drift(site(namespace, {}))?.fields).toHaveLength(3);
    const all = allTold(agent);
    for (const text of [canary, edited]) for (const form of [text, base64(text)]) expect(all).not.toContain(form);
    expect(all).toContain("***");
  });

  it("is no value at all where the agent is told to tell none", async () => {
    const { namespace, agent, sync, edit, drift } = await rig.setUp({ driftValues: false });
    const map = site(namespace, { a: "canary-1" });
    await sync([map], report);
    await edit(map, "kubectl-edit", { data: { a: "canary-2" } });
    await eventually(() => expect(drift(map)).toMatchObject({ manager: "kubectl-edit", paths: [".data.a"] }));
    expect(drift(map)).not.toHaveProperty("fields");
    expect(allTold(agent)).not.toContain("canary");
  });
});

describe("E021: a field that another manager owns, too", () => {
  it("is shown with that manager, so that nobody wonders why it stays when it leaves Git", async () => {
    const { namespace, agent, sync, applyAs, seen } = await rig.setUp();
    const map = site(namespace, { a: "1", b: "2" });
    const shown = () => agent.reconciler.inspect({}).map(({ sharedWith }) => sharedWith);
    await sync([map]);
    expect(shown()).toEqual([undefined]);
    await applyAs(site(namespace, { b: "2" }), "other-tool");
    await seen(map);
    expect(shown()).toEqual([[{ manager: "other-tool", paths: [".data.b"] }]]);
    await sync([site(namespace, { a: "1" })]);
    await seen(map);
    expect(shown()).toEqual([undefined]);
  });
});

describe("E022: what becomes of a conflict with somebody's edit", () => {
  it("is said by the drift mode of bundle and object, and by the managers that fields are left to", async () => {
    const { namespace, agent, take, edit, live } = await rig.setUp();
    const map = (name: string, mode?: string): Manifest => ({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name, namespace, ...(mode && { annotations: { "muster.dev/drift": mode } }) },
      data: { a: "1", b: "1" },
    });
    const objects = [map("correct"), map("report", "report"), map("off", "off")];
    const ignore = [{ kind: "ConfigMap", managers: ["operator"], paths: ["/data/b"] }];
    await take(objects, { drift: { mode: "correct", ignore } });
    await eventually(() => expect(agent.bundle("a")).toMatchObject({ state: "Synced" }));
    for (const object of objects) {
      await edit(object, "kubectl-edit", { data: { a: "2" } });
      await edit(object, "operator", { data: { b: "2" } });
    }
    const values = async () => Promise.all(objects.map(async (object) => (await live(object))["data"]));
    await eventually(async () =>
      expect(await values()).toEqual([
        { a: "1", b: "2" },
        { a: "2", b: "2" },
        { a: "2", b: "2" },
      ]),
    );
    const drifted = () => agent.reconciler.exceptions().map(({ ref, drift }) => [ref.name, drift?.manager, drift?.paths]);
    await eventually(() => expect(drifted()).toEqual([["report", "kubectl-edit", [".data.a"]]]));
  });
});
