import type { DriftIgnore, JsonObject, Manifest } from "@muster/shared/model";
import { describe, expect, it } from "vitest";
import { leaveToOthers } from "./left-to-others.ts";

const deployment = (spec: JsonObject, metadata: JsonObject = {}): Manifest => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "d", namespace: "web", ...metadata },
  spec,
});
const owner = (manager: string, fieldsV1: JsonObject, more: JsonObject = {}) => ({ manager, operation: "Update", fieldsV1, ...more });
const live = (spec: JsonObject, managedFields: JsonObject[], metadata: JsonObject = {}): Manifest =>
  deployment(spec, { ...metadata, resourceVersion: "7", managedFields });
const muster = (fieldsV1: JsonObject) => owner("muster", fieldsV1, { operation: "Apply" });
const REPLICAS = { "f:spec": { "f:replicas": {} } };
const hpa: DriftIgnore = { paths: ["/spec/replicas"], managers: ["kube-controller-manager"] };

describe("fields that are left to a manager", () => {
  it("E023: are left out while it owns them, by whatever subresource, and need no guard if we own nothing of them", () => {
    const scaled = live({ replicas: 7 }, [
      muster({ "f:metadata": { "f:labels": { "f:a": {} } } }),
      owner("kube-controller-manager", REPLICAS, { subresource: "scale" }),
    ]);
    const sent = leaveToOthers(deployment({ replicas: 2, paused: false }), scaled, [hpa]);
    expect(sent.manifest).toEqual(deployment({ paused: false }));
    expect(sent.leftOut?.fields).toEqual(REPLICAS);
  });

  it("E024: are let go of only as long as nobody writes in between: the manager might have let go, too", () => {
    const both = live({ replicas: 7 }, [muster(REPLICAS), owner("kube-controller-manager", REPLICAS, { subresource: "scale" })]);
    const { manifest } = leaveToOthers(deployment({ replicas: 2 }), both, [hpa]);
    // Nor is an empty spec sent, which would be a claim of its own.
    expect(manifest.metadata["resourceVersion"]).toBe("7");
    expect(manifest).not.toHaveProperty("spec");
  });

  it("E024: are as Git says until it takes them, and are not taken from it between our look and our apply", () => {
    const ours = live({ replicas: 2 }, [muster(REPLICAS)]);
    const sent = leaveToOthers(deployment({ replicas: 3 }), ours, [hpa]);
    expect(sent).toEqual({ manifest: deployment({ replicas: 3 }, { resourceVersion: "7" }) });
    // Git does not say anything of what it may take: nothing to guard.
    expect(leaveToOthers(deployment({ paused: true }), ours, [hpa])).toEqual({ manifest: deployment({ paused: true }) });
  });

  it("are not left to any other manager, nor beyond the rule's paths", () => {
    const edited = live({ replicas: 7 }, [muster({ "f:metadata": { "f:labels": { "f:a": {} } } }), owner("kubectl-edit", REPLICAS)]);
    expect(leaveToOthers(deployment({ replicas: 2 }), edited, [hpa]).manifest["spec"]).toEqual({ replicas: 2 });
    const more = { "f:spec": { "f:replicas": {}, "f:paused": {} } };
    const scaled = live({ replicas: 7, paused: true }, [owner("kube-controller-manager", more)]);
    expect(leaveToOthers(deployment({ replicas: 2, paused: false }), scaled, [hpa]).manifest["spec"]).toEqual({ paused: false });
  });

  it("are all that it owns where the rule names no path, items of lists by their keys; an item that is all its own goes as a whole", () => {
    const container = (name: string, more: JsonObject) => ({ name, image: `${name}:1`, ...more });
    const wanted = deployment(
      { containers: [container("web", { resources: { requests: { cpu: "1" } } }), container("side", {})] },
      { labels: { "muster.dev/bundle": "a", tier: "x" }, annotations: { a: "1" } },
    );
    const item = (name: string, fields: JsonObject) => ({ [`k:${JSON.stringify({ name })}`]: fields });
    const theirs = {
      "f:metadata": { "f:labels": { "f:muster.dev/bundle": {}, "f:tier": {} }, "f:annotations": {} },
      "f:spec": {
        "f:containers": {
          ...item("web", { "f:resources": { "f:requests": { "f:cpu": {} } } }),
          ...item("side", { ".": {}, "f:name": {}, "f:image": {} }),
        },
      },
    };
    const ours = { "f:metadata": { "f:annotations": { "f:a": {} } } };
    const found = live({}, [muster(ours), owner("vpa", theirs)]);
    const { manifest } = leaveToOthers(wanted, found, [{ paths: [], managers: ["vpa"] }]);
    expect(manifest["spec"]).toEqual({ containers: [container("web", {})] });
    expect(manifest.metadata).toMatchObject({ labels: { "muster.dev/bundle": "a" }, annotations: { a: "1" } });
    expect(wanted.metadata["labels"]).toEqual({ "muster.dev/bundle": "a", tier: "x" });
  });

  it("are not what we own ourselves, though a rule names us", () => {
    const sent = leaveToOthers(deployment({ replicas: 2 }), live({ replicas: 2 }, [muster(REPLICAS)]), [
      { paths: [], managers: ["muster"] },
    ]);
    expect(sent.manifest["spec"]).toEqual({ replicas: 2 });
  });
});
