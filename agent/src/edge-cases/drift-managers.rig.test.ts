import type { DriftIgnore, JsonObject, Manifest } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Part } from "../../../test/rig/child-process-part.ts";
import { eventually } from "../../../test/rig/eventually.ts";
import { startKubeControllerManager } from "../../../test/rig/kube-controller-manager.ts";
import { deployment, type SsaRig, startSsaRig } from "./testing/ssa-rig.ts";

let rig: SsaRig;
let controllers: Part | undefined;
beforeAll(async () => {
  rig = await startSsaRig("managers");
});
afterEach(async () => {
  rig?.stopAgents();
  await controllers?.stop();
  controllers = undefined;
});
afterAll(() => rig?.stop());

const replicasOf = (live: Manifest) => (live["spec"] as { replicas: number }).replicas;
/** The preset hpaReplicas, as the hub puts it into a slice. */
const HPA: DriftIgnore = { group: "apps", kind: "Deployment", paths: ["/spec/replicas"], managers: ["kube-controller-manager"] };
const correct = (ignore: readonly DriftIgnore[] = [HPA]) => ({ drift: { mode: "correct" as const, ignore } });
const scaled = (replicas: number) => ({ spec: { replicas } });
const ownerOf = (live: Manifest, manager: string) =>
  JSON.stringify((live.metadata["managedFields"] as JsonObject[]).filter((one) => one["manager"] === manager));

describe("E023: replicas that a manager is to own once it wants them", () => {
  it("are Git's until then, are not corrected or told afterwards, and are not taken back by the next revision", async () => {
    const { namespace, agent, sync, synced, edit, live, seen, drift, writes } = await rig.setUp();
    const web = (replicas: number, image = "web:1") => deployment(namespace, { replicas }, { image });
    await sync([web(2)], correct());
    await edit(web(2), "kubectl-edit", scaled(5));
    await eventually(async () => expect(replicasOf(await live(web(2)))).toBe(2));
    await synced();
    await sync([web(3)], correct());
    expect(replicasOf(await live(web(3)))).toBe(3);
    writes();
    await edit(web(3), "kube-controller-manager", scaled(7), "scale");
    await seen(web(3));
    expect(drift(web(3))).toBeUndefined();
    expect(agent.bundle("a")).toMatchObject({ state: "Synced", drifted: 0 });
    expect(writes()).toEqual([]);
    await sync([web(4, "web:2")], correct());
    expect(replicasOf(await live(web(4)))).toBe(7);
    expect(ownerOf(await live(web(4)), "muster")).not.toContain("f:replicas");
    await edit(web(4), "kube-controller-manager", scaled(9), "scale");
    await seen(web(4));
    expect(drift(web(4))).toBeUndefined();
  });

  it("are Git's again when somebody else changes them by hand, and when Git leaves them to nobody any more", async () => {
    const { namespace, sync, synced, take, edit, live } = await rig.setUp();
    const web = deployment(namespace, { replicas: 2 });
    await sync([web], correct());
    await edit(web, "kube-controller-manager", scaled(7), "scale");
    await sync([deployment(namespace, { replicas: 2 }, { image: "web:2" })], correct());
    await edit(web, "kubectl-edit", scaled(1));
    await eventually(async () => expect(replicasOf(await live(web))).toBe(2));
    await synced();
    await edit(web, "kube-controller-manager", scaled(8), "scale");
    // The same manifests: only the rule goes.
    await take([deployment(namespace, { replicas: 2 }, { image: "web:2" })], correct([]));
    await eventually(async () => expect(replicasOf(await live(web))).toBe(2));
  });

  it("come back with a correction when the manager gives them up, also after a revision that had left them to it", async () => {
    const { namespace, sync, synced, applyAs, live } = await rig.setUp();
    const web = deployment(namespace, { replicas: 2 });
    const tool = correct([{ kind: "Deployment", paths: ["/spec/replicas"], managers: ["scaler"] }]);
    const others = (spec: JsonObject): Manifest => ({ apiVersion: "apps/v1", kind: "Deployment", metadata: web.metadata, spec });
    await sync([web], tool);
    for (const image of ["web:1", "web:2"]) {
      await sync([deployment(namespace, { replicas: 2 }, { image })], tool);
      await applyAs(others({ replicas: 6 }), "scaler");
      if (image === "web:2") await sync([deployment(namespace, { replicas: 2 }, { image: "web:3" })], tool);
      await synced();
      expect(replicasOf(await live(web))).toBe(6);
      await applyAs(others({ paused: false }), "scaler");
      await eventually(async () => expect(replicasOf(await live(web))).toBe(2));
      await synced();
    }
  });

  it("are handed over while it owns them with us, and at no time is there another number of them (E024)", async () => {
    const { namespace, sync, applyAs, live, entries, mark } = await rig.setUp();
    const web = deployment(namespace, { replicas: 3 });
    await sync([web]);
    const { metadata, apiVersion, kind } = web;
    await applyAs({ apiVersion, kind, metadata, spec: { replicas: 3 } }, "scaler");
    mark();
    await sync([web], correct([{ kind: "Deployment", paths: ["/spec/replicas"], managers: ["scaler"] }]));
    expect(entries().map(({ verb, resource }) => `${verb} ${resource}`)).toEqual(["patch deployments"]);
    expect(ownerOf(await live(web), "muster")).not.toContain("f:replicas");
    expect(replicasOf(await live(web))).toBe(3);
    await applyAs({ apiVersion, kind, metadata, spec: { replicas: 4 } }, "scaler");
    expect(replicasOf(await live(web))).toBe(4);
  });

  it("hold for a new process, and in mode report", async () => {
    const { namespace, agent, sync, edit, live, restart, drift, seen } = await rig.setUp();
    const web = deployment(namespace, { replicas: 2 });
    const report = { drift: { mode: "report" as const, ignore: [HPA] } };
    await sync([web], report);
    await eventually(async () => expect((await agent.inventory()).applied.size).toBe(1));
    await edit(web, "kube-controller-manager", scaled(7), "scale");
    agent.stop();
    const second = restart();
    await eventually(() => expect(second.bundle("a")).toMatchObject({ state: "Synced", drifted: 0 }));
    await seen(web);
    expect(drift(web)).toBeUndefined();
    expect(replicasOf(await live(web))).toBe(7);
    await edit(web, "kubectl-edit", scaled(1));
    await eventually(() => expect(drift(web)).toMatchObject({ manager: "kubectl-edit", paths: [".spec.replicas"] }));
    expect(second.bundle("a")).toMatchObject({ state: "OutOfSync", drifted: 1 });
  });

  it("are a real HorizontalPodAutoscaler's, by the name that the preset goes by", { timeout: 90_000 }, async () => {
    const { namespace, sync, live, drift, seen, failure, entries, mark } = await rig.setUp();
    const web = (image = "web:1") => deployment(namespace, { replicas: 2 }, { image, resources: { requests: { cpu: "100m" } } });
    await sync([web()], correct());
    controllers = await startKubeControllerManager(
      rig.api,
      ["horizontal-pod-autoscaler-controller"],
      ["--horizontal-pod-autoscaler-sync-period=1s"],
    );
    await rig.api.admin.request("POST", `/apis/autoscaling/v2/namespaces/${namespace}/horizontalpodautoscalers`, {
      metadata: { name: "web" },
      spec: { scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" }, minReplicas: 4, maxReplicas: 6 },
    });
    await eventually(async () => expect(replicasOf(await live(web()))).toBe(4), { timeoutMs: 60_000 });
    expect(ownerOf(await live(web()), "kube-controller-manager")).toContain('"subresource":"scale"');
    await seen(web());
    expect(drift(web())).toBeUndefined();
    mark();
    await sync([web("web:2")], correct());
    expect(entries()).toHaveLength(1);
    expect(replicasOf(await live(web()))).toBe(4);
    expect(failure(web())).toBeUndefined();
  });
});
