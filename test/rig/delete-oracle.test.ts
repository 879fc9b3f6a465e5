import type { ObjectRefText } from "@muster/shared/model";
import { describe, expect, it } from "vitest";
import type { AuditEntry } from "./audit-log.ts";
import { judgeDeletions, type RecordedSlice } from "./delete-oracle.ts";

const at = (second: number) => new Date(second * 1_000).toISOString();
const entry = (verb: string, second: number, change: Partial<AuditEntry> = {}): AuditEntry => ({
  at: at(second),
  user: "agent",
  impersonated: "",
  verb,
  group: "",
  resource: "configmaps",
  subresource: "",
  namespace: "web",
  name: "x",
  code: 200,
  dryRun: false,
  userAgent: "muster-agent",
  requestUri: "",
  endedAt: "",
  ...change,
});
const slice = (second: number, ...covered: ObjectRefText[]): RecordedSlice => ({ atMs: second * 1_000, covered: new Set(covered) });
const X = "web_x__ConfigMap" as ObjectRefText;
const isExplained = (entries: readonly AuditEntry[], slices: readonly RecordedSlice[]) => {
  const { granted, unexplained } = judgeDeletions(entries, slices);
  expect(granted).toHaveLength(1);
  return unexplained.length === 0;
};
const applied = entry("patch", 100);
const deleted = entry("delete", 200);

describe("the oracle of deletions", () => {
  it("accepts that of an object that the agent applied and that left a slice", () => {
    expect(isExplained([applied, deleted], [slice(99, X), slice(199)])).toBe(true);
    expect(isExplained([applied, deleted], [slice(99, X), slice(150), slice(160)])).toBe(true);
  });

  it.each<[string, readonly AuditEntry[], readonly RecordedSlice[]]>([
    ["that no slice ever had", [applied, deleted], [slice(99), slice(199)]],
    ["that every slice has", [applied, deleted], [slice(99, X), slice(199, X)]],
    ["that left only later", [applied, deleted], [slice(99, X), slice(203)]],
    ["that has come back to Git long ago", [applied, deleted], [slice(99, X), slice(120), slice(130, X)]],
    ["that the agent never wrote", [deleted], [slice(99, X), slice(199)]],
    ["that the agent wrote only afterwards", [deleted, entry("patch", 201)], [slice(99, X), slice(199)]],
    ["that it was refused to write", [entry("patch", 100, { code: 403 }), deleted], [slice(99, X), slice(199)]],
    ["of another namespace", [applied, entry("delete", 200, { namespace: "db" })], [slice(99, X), slice(199)]],
  ])("refuses that of one %s", (_, entries, slices) => {
    expect(isExplained(entries, slices)).toBe(false);
  });

  it("lets an agent finish with a slice that was replaced a moment ago", () => {
    expect(isExplained([applied, deleted], [slice(99, X), slice(190), slice(195, X)])).toBe(true);
  });

  it("does not count what was refused, only tried, or is the agent's own state", () => {
    const none = [
      entry("delete", 200, { code: 409 }),
      entry("delete", 200, { dryRun: true }),
      entry("delete", 200, { resource: "secrets", namespace: "muster-system", name: "muster-state-blob-1" }),
    ];
    expect(judgeDeletions(none, []).granted).toEqual([]);
  });
});
