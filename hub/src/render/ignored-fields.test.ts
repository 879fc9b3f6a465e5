import type { DriftIgnore, JsonObject, Manifest } from "@muster/shared/model";
import { describe, expect, it } from "vitest";
import { noticeIgnoredFields } from "./ignored-fields.ts";
import type { RenderedTarget } from "./renderer.ts";

const deployment = (name: string, spec: JsonObject): Manifest => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name, namespace: "web" },
  spec,
});
const target = (...manifests: Manifest[]): RenderedTarget => ({ manifests, origins: manifests.map(() => "a.yaml"), notices: [] });
const messages = (rendered: RenderedTarget, ...ignore: DriftIgnore[]) =>
  noticeIgnoredFields(rendered, ignore).notices.map((one) => one.message);
const REPLICAS: DriftIgnore = { kind: "Deployment", paths: ["/spec/replicas"] };

describe("E023: a field that Git sets and an ignore rule leaves to others", () => {
  it("is remarked with the object and the path", () => {
    const [message, ...more] = messages(target(deployment("a", { replicas: 2 }), deployment("b", {})), REPLICAS);
    expect(more).toEqual([]);
    expect(message).toContain("counts only when the object is made: Deployment web/a (/spec/replicas)");
  });

  it("is found in lists, and under keys with a slash", () => {
    const containers = [{ name: "x" }, { name: "y", resources: {} }];
    const object = { ...deployment("a", { containers }), metadata: { name: "a", namespace: "web", annotations: { "a/b": "1" } } };
    const paths = ["/spec/containers/*/resources", "/metadata/annotations/a~1b", "/spec/containers/0/resources"];
    expect(messages(target(object), { paths })[0]).toContain("(/spec/containers/*/resources, /metadata/annotations/a~1b)");
  });

  it("is no remark where the rule is about other objects, managers or a condition", () => {
    const rendered = target(deployment("a", { replicas: 2 }));
    for (const rule of [
      { ...REPLICAS, kind: "StatefulSet" },
      { ...REPLICAS, name: "b" },
      { ...REPLICAS, group: "" },
      { ...REPLICAS, managers: ["kube-controller-manager"] },
      { ...REPLICAS, when: "true" },
    ])
      expect(noticeIgnoredFields(rendered, [rule])).toBe(rendered);
  });

  it("is one remark, however many objects there are, and the target stays the same one from run to run", () => {
    const rendered = target(...Array.from({ length: 20 }, (_, index) => deployment(`d${index}`, { replicas: 1 })));
    const noticed = noticeIgnoredFields(rendered, [REPLICAS]);
    expect(noticed.notices).toHaveLength(1);
    expect(noticed.notices[0]?.message).toMatch(/d4 \(\/spec\/replicas\) and 15 more$/);
    expect(noticeIgnoredFields(rendered, [{ ...REPLICAS }])).toBe(noticed);
    expect(noticed.manifests).toBe(rendered.manifests);
  });
});
