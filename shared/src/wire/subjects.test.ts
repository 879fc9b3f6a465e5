import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isClusterName } from "../model/index.ts";
import { agentPermissions, blobSubject, clusterOfSliceSubject, sliceSubject } from "./subjects.ts";

const clusterName = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);

/** NATS' own matching of a permission against a subject. */
function permits(permission: string, subject: string): boolean {
  const want = permission.split(".");
  const have = subject.split(".");
  for (const [index, token] of want.entries()) {
    if (token === ">") return have.length > index;
    if (have[index] === undefined || (token !== "*" && token !== have[index])) return false;
  }
  return want.length === have.length;
}

describe("NATS subjects", () => {
  it("E188: no agent's permission ever covers another agent's slices or inbox", () => {
    fc.assert(
      fc.property(clusterName, clusterName, (x, y) => {
        fc.pre(x !== y);
        const mine = agentPermissions(x);
        const theirs = agentPermissions(y);
        for (const allowed of mine.subscribe) {
          for (const subject of [sliceSubject(y), `_INBOX_${y}.a`]) expect(permits(allowed, subject)).toBe(false);
        }
        for (const allowed of mine.publish) expect(permits(allowed, theirs.publish[0] ?? "")).toBe(false);
      }),
    );
  });

  it("an agent may publish to no subject that stores anything", () => {
    for (const allowed of agentPermissions("eu-1").publish) {
      for (const subject of [
        sliceSubject("eu-1"),
        blobSubject("a".repeat(64), 0),
        "$JS.API.STREAM.DELETE.MUSTER_SLICES",
        "$JS.API.DIRECT.GET.MUSTER_SLICES",
      ]) {
        expect(permits(allowed, subject)).toBe(false);
      }
    }
  });

  it("wildcards and dots never become part of a subject", () => {
    for (const hostile of ["*", ">", "a.b", "", "A", "a b", "-a", "a-", "é", "a".repeat(64)]) {
      expect(isClusterName(hostile)).toBe(false);
      expect(() => sliceSubject(hostile)).toThrow(RangeError);
    }
    expect(() => blobSubject("../x", 0)).toThrow(RangeError);
    expect(() => blobSubject("a".repeat(64), -1)).toThrow(RangeError);
  });

  it("a slice subject names its cluster", () => {
    expect(clusterOfSliceSubject(sliceSubject("eu-1"))).toBe("eu-1");
    expect(clusterOfSliceSubject("muster.v1.blob.x.0")).toBeUndefined();
  });
});
