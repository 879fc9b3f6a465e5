import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createPaint } from "./style.ts";
import { type Column, formatTable, TablePrinter } from "./table.ts";
import { cleanText, displayWidth, truncate, wrapText } from "./text.ts";

interface Row {
  readonly name: string;
  readonly size: string;
  readonly note: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: "NAME", cell: ({ name }) => name, gone: "Gone" },
  { title: "SIZE", align: "right", cell: ({ size }) => ({ text: size, tone: "bad" }) },
  { title: "NOTE", cell: ({ note }) => note, elastic: true },
];
const plain = createPaint("never", true, {});
const row = (name: string, size: string, note: string): Row => ({ name, size, note });
const LONG = "a note that is far too long for the terminal that it is shown in, as notes of machines mostly are";

describe("tables", () => {
  it("align what stands in them, and show an empty cell as a dash", () => {
    expect(formatTable(COLUMNS, [row("a", "1", ""), row("longer", "1000", "x")], { paint: plain })).toEqual([
      "NAME     SIZE   NOTE",
      "a           1   -",
      "longer   1000   x",
    ]);
  });

  it("are never cut where no terminal is", () => {
    expect(formatTable(COLUMNS, [row("a", "1", LONG)], { paint: plain })[1]).toContain(LONG);
  });

  it("fit into the terminal, with whatever characters", () => {
    const style = { paint: plain, width: 60 };
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            name: fc.string({ maxLength: 12 }),
            size: fc.string({ maxLength: 6 }),
            note: fc.string({ unit: "grapheme", maxLength: 200 }),
          }),
        ),
        (rows) => {
          for (const line of formatTable(COLUMNS, rows, style)) expect(displayWidth(line)).toBeLessThanOrEqual(60);
        },
      ),
    );
  });

  it("leave optional columns out only if what is left could hardly be read otherwise", () => {
    const columns: readonly Column<Row>[] = [...COLUMNS, { title: "EXTRA", cell: () => "extra", optional: true }];
    const titles = (width: number) => formatTable(columns, [row("name", "1", LONG)], { paint: plain, width })[0]?.split(/\s+/);
    expect(titles(80)).toEqual(["NAME", "SIZE", "NOTE", "EXTRA"]);
    expect(titles(40)).toEqual(["NAME", "SIZE", "NOTE"]);
  });

  it("keep the widths of what was printed before", () => {
    const printer = new TablePrinter(COLUMNS, { paint: plain });
    printer.lines([row("a-long-name", "1", "x")], { header: true });
    expect(printer.lines([row("b", "2", "y")], { gone: true })).toEqual(["Gone             2   y"]);
  });
});

describe("texts of other people", () => {
  it("cannot steer the terminal", () => {
    expect(cleanText("a\u001b[2Jb\r\nc\u009b1md\u202ee")).toBe("a[2Jb c1mde");
    expect(formatTable(COLUMNS, [row("\u001b]0;title\u0007x", "1", "y")], { paint: plain })[1]).toBe("]0;titlex      1   y");
  });

  it("are measured as a terminal shows them", () => {
    expect(displayWidth("集群")).toBe(4);
    expect(displayWidth("e\u0301")).toBe(1);
    expect(truncate("集群集群", 5)).toBe("集群…");
    expect(wrapText("one two three", 7)).toEqual(["one two", "three"]);
  });
});

describe("colours", () => {
  it("are there on a terminal only, and not if NO_COLOR is set; --color is stronger", () => {
    const painted = (...args: Parameters<typeof createPaint>) => createPaint(...args)("bad", "x") !== "x";
    expect(painted("auto", true, {})).toBe(true);
    expect(painted("auto", false, {})).toBe(false);
    expect(painted("auto", true, { NO_COLOR: "1" })).toBe(false);
    expect(painted("auto", true, { NO_COLOR: "" })).toBe(true);
    expect(painted("auto", true, { TERM: "dumb" })).toBe(false);
    expect(painted("always", false, { NO_COLOR: "1" })).toBe(true);
    expect(painted("never", true, {})).toBe(false);
  });
});
