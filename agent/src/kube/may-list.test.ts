import { describe, expect, it } from "vitest";
import type { ResourceType } from "./cluster.ts";
import { readListRights } from "./may-list.ts";

const type = (group: string, plural: string): ResourceType => ({
  group,
  plural,
  version: "v1",
  kind: "X",
  namespaced: true,
  verbs: ["list"],
});
const rule = (apiGroups: string[], resources: string[], verbs: string[], more = {}) => ({ apiGroups, resources, verbs, ...more });

describe("what an agent may list", () => {
  const may = readListRights({
    incomplete: false,
    resourceRules: [
      rule([""], ["configmaps"], ["get", "list"]),
      rule(["apps"], ["*"], ["*"]),
      rule([""], ["secrets"], ["get"]),
      rule(["*"], ["leases"], ["list"]),
      rule([""], ["pods"], ["list"], { resourceNames: ["one"] }),
    ],
  });
  it.each([
    ["", "configmaps", true],
    ["other", "configmaps", false],
    ["apps", "deployments", true],
    ["", "secrets", false],
    ["coordination.k8s.io", "leases", true],
    ["", "pods", false],
  ])("%j %s: %s", (group, plural, expected) => {
    expect(may(type(group, plural))).toBe(expected);
  });
  it.each([[undefined], [{ incomplete: true, resourceRules: [] }]])("%j does not tell: all may be tried", (status) => {
    expect(readListRights(status)(type("", "secrets"))).toBe(true);
  });
});
