import { CodedError } from "@muster/shared/errors";
import { describe, expect, it } from "vitest";
import type { ResourceType } from "./cluster.ts";
import { type ListPagesOptions, listPages } from "./list-pages.ts";
import { ANSWER_TOO_LARGE, type KubeTransport } from "./transport.ts";

const TYPE: ResourceType = { group: "", version: "v1", kind: "ConfigMap", plural: "configmaps", namespaced: true, verbs: [] };

/** An API server with a number of objects of one size; `refuse` may throw in place of an answer. */
function serverOf(count: number, bytes: number, refuse: (asked: number, offset: number) => void = () => {}) {
  const limits: number[] = [];
  const transport: Pick<KubeTransport, "send"> = {
    async send({ path }) {
      const query = new URLSearchParams(path.slice(path.indexOf("?")));
      const [limit, offset] = [Number(query.get("limit")), Number(query.get("continue") ?? 0)];
      limits.push(limit);
      refuse(limits.length, offset);
      if (limit * bytes > 32 * 1024 * 1024) throw new CodedError("KUBE_SERVER", "too large", { data: { [ANSWER_TOO_LARGE]: true } });
      const end = Math.min(count, offset + limit);
      const items = Array.from({ length: end - offset }, (_, at) => ({
        metadata: { name: `n${offset + at}` },
        data: { x: "x".repeat(bytes) },
      }));
      const metadata = { resourceVersion: "7", ...(end < count && { continue: String(end) }) };
      return { status: 200, body: JSON.stringify({ metadata, items }) };
    },
  };
  const names: string[] = [];
  const run = (more: Partial<ListPagesOptions> = {}) =>
    listPages({
      transport: transport as KubeTransport,
      path: "/api/v1/configmaps",
      type: TYPE,
      list: {},
      onPage: (items) => void names.push(...items.map((item) => item.metadata.name)),
      onRestart: () => void names.splice(0),
      ...more,
    });
  return { limits, names, run };
}

const expired = () => new CodedError("KUBE_CONFLICT", "too old", { data: { status: 410 } });

describe("a list", () => {
  it("E271: comes in pages of 500, of which nobody has to hold more than one", async () => {
    const { limits, names, run } = serverOf(1_201, 100);
    expect(await run()).toBe("7");
    expect([limits, new Set(names).size]).toEqual([[500, 500, 500], 1_201]);
  });

  it("E271: has fewer objects on a page the larger they are, and gets by with objects of which 500 would not fit", async () => {
    const { limits, names, run } = serverOf(60, 900_000);
    await run();
    expect(new Set(names).size).toBe(60);
    expect(limits.slice(0, 3)).toEqual([500, 31, 4]);
    expect(Math.max(...limits.slice(2))).toBe(4);
  });

  it("E266: that has expired half-way begins anew, and misses nothing", async () => {
    const { names, run } = serverOf(1_201, 100, (asked) => {
      if (asked === 2) throw expired();
    });
    await run();
    expect([names.length, new Set(names).size]).toEqual([1_201, 1_201]);
  });

  it("E266: that expires each time is given up, and what cannot even begin is not tried again", async () => {
    const always = serverOf(1_201, 100, (_, offset) => {
      if (offset > 0) throw expired();
    });
    await expect(always.run()).rejects.toMatchObject({ data: { status: 410 } });
    expect(always.limits).toHaveLength(6);
    const never = serverOf(1, 100, () => {
      throw expired();
    });
    await expect(never.run()).rejects.toMatchObject({ data: { status: 410 } });
    expect(never.limits).toHaveLength(1);
  });
});
