import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { endOfAudit, readAudit } from "./audit-log.ts";
import { createTempFolder } from "./temp-folder.ts";

const line = (name: string) => `${JSON.stringify({ verb: "get", objectRef: { name }, responseStatus: { code: 200 } })}\n`;
const names = (path: string, offset?: number) => readAudit(path, offset).map((entry) => entry.name);

describe("the audit log of an API server", () => {
  const folder = createTempFolder("audit-log");
  afterEach(() => folder.remove());

  it("is read while an entry is being written: that entry comes whole, once it is whole, even after a mark", () => {
    const path = join(folder.path, "audit.log");
    expect([names(path), endOfAudit(path)]).toEqual([[], 0]);
    const half = line("two");
    // Cut where the piece looks like an end.
    const cut = half.indexOf("}") + 1;
    writeFileSync(path, line("one") + half.slice(0, cut));
    const mark = endOfAudit(path);
    expect([names(path), names(path, mark)]).toEqual([["one"], []]);
    appendFileSync(path, half.slice(cut) + line("three"));
    expect([names(path), names(path, mark)]).toEqual([
      ["one", "two", "three"],
      ["two", "three"],
    ]);
  });
});
