import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pageByKey, pageInOrder } from "./paging.ts";

const listing = (items: readonly string[], name = "names") => ({ name, items, keyOf: (item: string) => item });

function readAll(page: (token: string | undefined) => { items: readonly string[]; continue?: string }): string[] {
  const all: string[] = [];
  let token: string | undefined;
  do {
    const { items, continue: next } = page(token);
    all.push(...items);
    token = next;
  } while (token !== undefined);
  return all;
}

describe("a list in the order of its keys", () => {
  it("has all of its items once on its pages, sorted, whatever their number and size", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ maxLength: 8 }), { maxLength: 300 }), fc.integer({ min: 1, max: 50 }), (items, limit) => {
        const all = readAll((token) => pageByKey(listing(items), { limit, continue: token }));
        expect(all).toEqual([...items].sort());
      }),
    );
  });

  it("neither repeats nor hides what is there all the time, while other items come and go between pages", () => {
    const stable = Array.from({ length: 40 }, (_, index) => `stable-${String(index).padStart(2, "0")}`);
    let round = 0;
    const all = readAll((token) => {
      round += 1;
      const passing = [`aaa-${round}`, `stable-20-${round}`, `zzz-${round}`];
      return pageByKey(listing([...passing, ...stable]), { limit: 7, continue: token });
    });
    expect(all.filter((item) => /^stable-\d\d$/.test(item))).toEqual(stable);
  });

  it("says how many items there are in all, and gives no token on the last page", () => {
    expect(pageByKey(listing(["b", "a"]), { limit: 2 })).toEqual({ items: ["a", "b"], total: 2 });
    expect(pageByKey(listing(["b", "a", "c"]), { limit: 2 })).toMatchObject({ items: ["a", "b"], total: 3, continue: expect.any(String) });
  });

  it.each(["", "!!", Buffer.from("other\nkey").toString("base64url"), Buffer.from("names").toString("base64url")])(
    "refuses the token %j, which it has not given",
    (token) => {
      expect(() => pageByKey(listing(["a"]), { limit: 1, continue: token })).toThrow(expect.objectContaining({ code: "API_BAD_REQUEST" }));
    },
  );

  it("gives a page of 100,000 items without sorting them all", () => {
    const items = Array.from({ length: 100_000 }, (_, index) => String((index * 7_919) % 100_000).padStart(6, "0"));
    const started = performance.now();
    expect(pageByKey(listing(items), { limit: 100 }).items.at(-1)).toBe("000099");
    expect(performance.now() - started).toBeLessThan(500);
  });
});

describe("a list in its own order", () => {
  it("goes on behind the last item that was given, though newer ones have come before it", () => {
    const first = pageInOrder(listing(["c", "b", "a"], "events"), { limit: 2 });
    expect(first.items).toEqual(["c", "b"]);
    expect(pageInOrder(listing(["e", "d", "c", "b", "a"], "events"), { limit: 2, continue: first.continue }).items).toEqual(["a"]);
  });

  it("refuses the token of another run of the hub, whose keys mean other items", () => {
    const ofRun = (run?: string) => ({ ...listing(["3", "2", "1"], "events"), ...(run !== undefined && { run }) });
    const { continue: token } = pageInOrder(ofRun("first"), { limit: 2 });
    expect(pageInOrder(ofRun("first"), { limit: 2, continue: token }).items).toEqual(["1"]);
    const before = pageInOrder(ofRun(), { limit: 2 }).continue;
    for (const [other, run] of [
      [token, "second"],
      [token, ""],
      [before, "second"],
    ]) {
      expect(() => pageInOrder(ofRun(run), { limit: 2, continue: other })).toThrow(
        expect.objectContaining({ code: "API_BAD_REQUEST", message: expect.stringContaining("started anew") }),
      );
    }
  });

  it("ends where the last item that was given has fallen off", () => {
    const first = pageInOrder(listing(["c", "b", "a"], "events"), { limit: 1 });
    expect(pageInOrder(listing(["e", "d"], "events"), { limit: 2, continue: first.continue }).items).toEqual([]);
  });
});
