import type { JsonObject, Manifest } from "@muster/shared/model";
import { describe, expect, it } from "vitest";
import { leaveIgnoredFields } from "./ignored-fields.ts";

const deployment = (spec: JsonObject, metadata: JsonObject = {}): Manifest => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "d", namespace: "web", ...metadata },
  spec,
});
const live = (spec: JsonObject, fieldsV1: JsonObject, metadata: JsonObject = {}): Manifest =>
  deployment(spec, { ...metadata, resourceVersion: "7", managedFields: [{ manager: "muster", operation: "Apply", fieldsV1 }] });
const container = (name: string, image: string, cpu: string) => ({ name, image, resources: { requests: { cpu } } });

describe("ignored fields", () => {
  it("E024: a field that we still own keeps its live value, so that leaving it to others does not reset it", () => {
    const applied = leaveIgnoredFields(deployment({ replicas: 3 }), live({ replicas: 5 }, { "f:spec": { "f:replicas": {} } }), [
      "/spec/replicas",
    ]);
    expect(applied["spec"]).toEqual({ replicas: 5 });
    expect(applied.metadata["resourceVersion"]).toBe("7");
  });

  it("E023: a field that another manager owns is left out, and needs no guard against writes in between", () => {
    const applied = leaveIgnoredFields(
      deployment({ replicas: 3, paused: false }),
      live({ replicas: 5 }, { "f:spec": { "f:paused": {} } }),
      ["/spec/replicas"],
    );
    expect(applied["spec"]).toEqual({ paused: false });
    expect(applied.metadata["resourceVersion"]).toBeUndefined();
    expect(leaveIgnoredFields(deployment({ replicas: 3 }), deployment({ replicas: 5 }), ["/spec/replicas"])["spec"]).toEqual({});
  });

  it("E025: list items are paired by their keys, not by their place", () => {
    const wanted = deployment({ containers: [container("a", "a:2", "1"), container("b", "b:2", "1")] });
    const found = live(
      { containers: [container("sidecar", "s", "9"), container("b", "b:1", "4"), container("a", "a:1", "3")] },
      {
        "f:spec": {
          "f:containers": {
            'k:{"name":"a"}': { ".": {}, "f:image": {}, "f:resources": { "f:requests": { "f:cpu": {} } } },
            'k:{"name":"b"}': { ".": {}, "f:image": {} },
          },
        },
      },
    );
    expect(leaveIgnoredFields(wanted, found, ["/spec/containers/*/resources"])["spec"]).toEqual({
      containers: [container("a", "a:2", "3"), { name: "b", image: "b:2" }],
    });
  });

  it("of a map that is ignored whole, only our own members are kept", () => {
    const found = live({ x: 1 }, { "f:metadata": { "f:annotations": { "f:ours": {} } } }, { annotations: { ours: "live", theirs: "1" } });
    const applied = leaveIgnoredFields(deployment({ x: 1 }, { annotations: { ours: "git" } }), found, ["/metadata/annotations"]);
    expect(applied.metadata["annotations"]).toEqual({ ours: "live" });
  });

  it("our label stays even if all labels are ignored, and the manifest that came in is not changed", () => {
    const wanted = deployment({ replicas: 3 }, { labels: { "muster.dev/bundle": "a", other: "1" } });
    const before = JSON.stringify(wanted);
    expect(
      leaveIgnoredFields(wanted, deployment({}), ["/metadata/labels", "/spec/none/deeper", "/spec/replicas"]).metadata["labels"],
    ).toEqual({ "muster.dev/bundle": "a" });
    expect(JSON.stringify(wanted)).toBe(before);
  });
});
