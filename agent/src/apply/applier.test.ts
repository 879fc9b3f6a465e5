import { CodedError } from "@muster/shared/errors";
import { type BundleOptions, type DriftIgnore, formatObjectRef, type Manifest, objectRefOf } from "@muster/shared/model";
import { type Clock, systemClock } from "@muster/shared/runtime";
import { silentLogger } from "@muster/shared/telemetry";
import { digestBytes } from "@muster/shared/wire";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../../test/rig/manual-clock.ts";
import { createDiscoveryCache } from "../kube/discovery-cache.ts";
import { readConditions } from "../observe/condition.ts";
import { createObserver } from "../observe/create-observer.ts";
import { configMap, DEFAULT_BUNDLE_OPTIONS } from "../pull/testing/slice-maker.ts";
import { createApplier } from "./applier.ts";
import { createFakeCluster, FAKE_TYPES } from "./testing/fake-cluster.ts";

const { signal } = new AbortController();
function setUp(clock: Clock = systemClock, watchNamespaces: readonly string[] = []) {
  const cluster = createFakeCluster();
  const discovery = createDiscoveryCache(cluster, clock);
  const observer = createObserver({ cluster, clock: systemClock, random: () => 0, logger: silentLogger() });
  const applier = createApplier({ cluster, discovery, observer, clock: systemClock, ownNamespace: "muster-system", watchNamespaces });
  const apply = (manifest: Manifest, task: { uid?: string; dryRun?: boolean; options?: Partial<BundleOptions> } = {}) =>
    applier.apply(
      {
        line: { manifest, head: manifest, ref: formatObjectRef(objectRefOf(manifest)), digest: digestBytes(JSON.stringify(manifest)) },
        bundle: "a",
        ...(task.uid && { uid: task.uid }),
        ...(task.dryRun && { dryRun: true }),
        options: { ...DEFAULT_BUNDLE_OPTIONS, ...task.options },
      },
      signal,
    );
  const verbs = () => cluster.calls.splice(0).map((call) => (call.dryRun ? "dry run" : call.verb));
  return { cluster, applier, observer, apply, verbs };
}
const labelled = (manifest: Manifest, metadata: Manifest["metadata"] | object): Manifest => ({
  ...manifest,
  metadata: { ...manifest.metadata, ...metadata },
});

describe("apply", () => {
  it("says what it did: created, configured, unchanged", async () => {
    const { apply, verbs } = setUp();
    const { action, uid } = await apply(configMap("x"));
    expect(action).toBe("created");
    expect(verbs()).toEqual(["get", "apply"]);
    expect((await apply(configMap("x"), { uid })).action).toBe("unchanged");
    expect((await apply(configMap("x", "2"), { uid })).action).toBe("configured");
    expect(verbs()).toEqual(["apply", "apply"]);
  });

  it("leaves alone what stands where the agent does not look, because drift of it would never be seen", async () => {
    const { apply, verbs } = setUp(systemClock, ["web"]);
    await expect(apply(configMap("x", "1", "db"))).rejects.toMatchObject({
      code: "NAMESPACE_NOT_WATCHED",
      message: "ConfigMap db/x: this agent looks at the namespaces web only",
    });
    expect(verbs()).toEqual([]);
    expect((await apply(configMap("x"))).action).toBe("created");
    expect((await apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "db" } })).action).toBe("created");
  });

  it("E092, E094: an object of nobody is adopted in place", async () => {
    const { cluster, apply } = setUp();
    const uid = cluster.put(configMap("x", "theirs")).metadata["uid"];
    expect(await apply(configMap("x"))).toMatchObject({ action: "configured", uid, adopted: expect.arrayContaining([".data.value"]) });
  });

  it("E092: what the bundle says counts, unless the object says otherwise; a refusal says what would change", async () => {
    const { cluster, apply, verbs } = setUp();
    const never = { options: { adoption: "never" as const } };
    cluster.put(configMap("x", "theirs"));
    await expect(apply(configMap("x"), never)).rejects.toMatchObject({
      code: "ADOPT_REFUSED",
      message: "ConfigMap web/x is there already, and its bundle says adoption: never; adopted, it would change at .data.value",
    });
    expect(verbs()).toEqual(["get", "dry run"]);
    expect((await apply(labelled(configMap("x"), { annotations: { "muster.dev/adopt": "ifUnowned" } }), never)).action).toBe("configured");
    const helm = labelled(configMap("y", "theirs"), { annotations: { "meta.helm.sh/release-name": "web" } });
    cluster.put(helm);
    await expect(apply(helm)).rejects.toMatchObject({ message: expect.stringContaining("it would not change") });
    const always = { options: { adoption: "always" as const } };
    await expect(apply(labelled(configMap("y"), { annotations: { "muster.dev/adopt": "never" } }), always)).rejects.toMatchObject({
      code: "ADOPT_REFUSED",
    });
    expect((await apply(configMap("y"), always)).action).toBe("configured");
  });

  it("E077, E092: an object that our label marks as another fleet's is adopted only where Git says always", async () => {
    const { cluster, apply } = setUp();
    const marked = (bundle: string) => cluster.put(labelled(configMap("x", "theirs"), { labels: { "muster.dev/bundle": bundle } }));
    const before = marked("of-others").metadata["resourceVersion"];
    await expect(apply(configMap("x"))).rejects.toMatchObject({
      code: "ADOPT_REFUSED",
      message: expect.stringContaining("belongs to the bundle of-others, which is not of this agent"),
    });
    expect(cluster.objects.get("web_x__ConfigMap")?.metadata["resourceVersion"]).toBe(before);
    expect(await apply(configMap("x"), { options: { adoption: "always" as const } })).toMatchObject({
      action: "configured",
      adopted: expect.arrayContaining([".data.value"]),
    });
    marked("a");
    expect(await apply(configMap("x"))).not.toHaveProperty("adopted");
  });

  it("E092: a refusal also says what the server would have against it", async () => {
    const { cluster, apply } = setUp();
    cluster.put(configMap("x", "theirs"));
    cluster.onCall = ({ dryRun }) => {
      if (dryRun) throw new CodedError("KUBE_INVALID", "the data is not valid");
    };
    await expect(apply(configMap("x"), { options: { adoption: "never" } })).rejects.toMatchObject({
      code: "ADOPT_REFUSED",
      message: expect.stringContaining("adopted, it would be refused: the data is not valid"),
    });
  });

  it.each([
    ["Helm", { annotations: { "meta.helm.sh/release-name": "web" } }],
    ["Argo CD", { annotations: { "argocd.argoproj.io/tracking-id": "web:/ConfigMap:web/x" } }],
    ["Flux", { labels: { "kustomize.toolkit.fluxcd.io/name": "web" } }],
    ["its controller", { ownerReferences: [{ controller: true, kind: "ReplicaSet", name: "r" }] }],
  ])("E093, E090: an object of %s is left alone", async (owner, metadata) => {
    const { cluster, apply, verbs } = setUp();
    cluster.put(labelled(configMap("x", "theirs"), metadata));
    await expect(apply(configMap("x"))).rejects.toMatchObject({ code: "ADOPT_REFUSED", message: expect.stringContaining(owner) });
    expect(verbs()).toEqual(owner === "its controller" ? ["get"] : ["get", "dry run"]);
  });

  it("E076: an object that was made anew is somebody else's, also for an agent that has just started", async () => {
    const { cluster, apply, verbs } = setUp();
    cluster.put(labelled(configMap("x", "theirs"), { annotations: { "meta.helm.sh/release-name": "web" } }));
    await expect(apply(configMap("x"), { uid: "as the inventory knows it" })).rejects.toMatchObject({ code: "ADOPT_REFUSED" });
    expect(verbs()).toEqual(["get", "dry run"]);
  });

  it("E004: a missing namespace is an error, or is created if the bundle says so", async () => {
    const { cluster, apply } = setUp();
    cluster.onCall = (call) => {
      if (call.verb === "apply" && !cluster.objects.has("_web__Namespace")) throw new CodedError("NAMESPACE_MISSING", "no namespace web");
    };
    await expect(apply(configMap("x"))).rejects.toMatchObject({ code: "NAMESPACE_MISSING" });
    expect((await apply(configMap("x"), { options: { createNamespace: true } })).action).toBe("created");
    expect(cluster.objects.get("_web__Namespace")?.metadata["labels"]).toBeUndefined();
  });

  it("E004: a missing namespace is not created only to compare", async () => {
    const { cluster, apply } = setUp();
    const options = { createNamespace: true };
    const { uid } = await apply(configMap("x"), { options });
    cluster.onCall = (call) => {
      if (call.verb === "apply") throw new CodedError("NAMESPACE_MISSING", "no namespace web");
    };
    await expect(apply(configMap("x"), { uid, dryRun: true, options })).rejects.toMatchObject({ code: "NAMESPACE_MISSING" });
    expect(cluster.objects.has("_web__Namespace")).toBe(false);
  });

  it("E269: the agent's own state cannot be applied over", async () => {
    const { apply, verbs } = setUp();
    const state: Manifest = { apiVersion: "v1", kind: "Secret", metadata: { name: "muster-state-inventory", namespace: "muster-system" } };
    await expect(apply(state)).rejects.toMatchObject({ code: "OBJECT_RESERVED" });
    expect(verbs()).toEqual([]);
  });

  it("E002: a kind that the cluster does not know is KIND_UNKNOWN", async () => {
    const { apply } = setUp();
    await expect(apply({ apiVersion: "example.com/v1", kind: "Widget", metadata: { name: "w", namespace: "web" } })).rejects.toMatchObject({
      code: "KIND_UNKNOWN",
    });
  });

  it("E002: a kind that has moved to another version, or is served no more, is found out without a restart", async () => {
    const clock = new ManualClock();
    const { cluster, apply } = setUp(clock);
    const of = (version: string) => ({ ...FAKE_TYPES[0]!, group: "example.com", version, kind: "Widget", plural: "widgets" });
    const widget = (version: string) => ({ ...configMap("w"), apiVersion: `example.com/${version}`, kind: "Widget" });
    cluster.types = [...FAKE_TYPES, of("v1")];
    const { uid } = await apply(widget("v1"));
    cluster.types = [...FAKE_TYPES, of("v2")];
    await clock.advance(1_000);
    await expect(apply(widget("v1"), { uid })).rejects.toMatchObject({ code: "KIND_UNKNOWN" });
    expect((await apply(widget("v2"), { uid })).action).toBe("configured");
  });

  it("E024: a write between the look and the apply makes it look again", async () => {
    const { cluster, apply } = setUp();
    const options = { drift: { mode: "correct" as const, ignore: [{ paths: ["/data/value"] }] } };
    const { uid } = await apply(configMap("x", "1"), { options });
    let once = true;
    cluster.onCall = (call) => {
      if (call.verb !== "apply" || !once) return;
      once = false;
      cluster.put({ ...cluster.objects.get("web_x__ConfigMap")!, data: { value: "scaled", extra: "1" } });
    };
    await apply({ ...configMap("x", "1"), data: { value: "1", other: "2" } }, { uid, options });
    expect(cluster.objects.get("web_x__ConfigMap")?.["data"]).toMatchObject({ value: "scaled", other: "2" });
  });

  it.each<[string, Partial<DriftIgnore>]>([
    ["by path", {}],
    ["by condition", { when: "object.data.value == 'theirs'" }],
    ["by manager", { managers: ["somebody"] }],
  ])("E024: an object that is deleted between the look and the apply is made anew with what was left to others %s", async (_, rule) => {
    const { cluster, apply } = setUp();
    const options = { drift: { mode: "correct" as const, ignore: [{ paths: ["/data/value"], ...rule }] } };
    await readConditions(options.drift.ignore);
    const { uid } = await apply(configMap("x", "1"), { options });
    const managedFields = [{ manager: "somebody", operation: "Update", fieldsV1: { "f:data": { "f:value": {} } } }];
    cluster.put({ ...labelled(configMap("x", "theirs"), { uid, managedFields }) });
    let once = true;
    cluster.onCall = (call) => {
      if (call.verb !== "apply" || !once) return;
      once = false;
      cluster.objects.delete("web_x__ConfigMap");
    };
    expect((await apply({ ...configMap("x", "1"), data: { value: "1", other: "2" } }, { uid, options })).action).toBe("created");
    expect(cluster.objects.get("web_x__ConfigMap")?.["data"]).toEqual({ value: "1", other: "2" });
  });
});
