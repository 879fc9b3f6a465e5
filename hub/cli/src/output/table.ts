import type { Paint, Tone } from "./style.ts";
import { cleanText, displayWidth, truncate } from "./text.ts";

/** One cell: a text, or a text with a meaning. */
export type Cell = string | { readonly text: string; readonly tone: Tone };

/** One column of a table. */
export interface Column<T> {
  readonly title: string;
  readonly cell: (item: T) => Cell;
  readonly align?: "right";
  /** Only with `-o wide`. */
  readonly wide?: boolean;
  /** Only without `-o wide`, which says it in another way. */
  readonly narrow?: boolean;
  /** Gives way first when the terminal is too narrow: is cut, but not below its title and a dozen columns. */
  readonly elastic?: boolean;
  /** Left out when the terminal is so narrow that elastic columns could hardly be read. */
  readonly optional?: boolean;
  /** In a watch: what stands here once the item is gone. */
  readonly gone?: string;
}

/** How to print a table. */
export interface TableStyle {
  readonly paint: Paint;
  /** Columns of the terminal; undefined: nothing is cut. */
  readonly width?: number | undefined;
  /** Spaces before every line. Default 0. */
  readonly indent?: number;
}

/** Spaces between two columns; the second where space is short. */
const GAP = 3;
const NARROW_GAP = 2;
/** Columns below which an elastic column can hardly be read, and below which it is not cut. */
const READABLE_ELASTIC = 24;
const LEAST_ELASTIC = 12;

/** What fits: width per column (0: left out), and the gap. */
interface Layout {
  readonly widths: readonly number[];
  readonly gap: number;
}

/** Prints items under aligned columns. Widths only grow, so that a watch's later rows stand under the first. */
export class TablePrinter<T> {
  readonly #columns: readonly Column<T>[];
  readonly #style: TableStyle;
  #widths: number[];

  constructor(columns: readonly Column<T>[], style: TableStyle) {
    this.#columns = columns;
    this.#style = style;
    this.#widths = columns.map((column) => displayWidth(column.title));
  }

  /** Columns that each column takes, before anything is cut. */
  get widths(): readonly number[] {
    return this.#widths;
  }

  /** Makes the columns at least so wide. */
  widen(widths: readonly number[]): void {
    this.#widths = this.#widths.map((width, index) => Math.max(width, widths[index] ?? 0));
  }

  /** The lines for some items; with the header if asked for. `gone` items are marked so. */
  lines(items: readonly T[], options: { readonly header?: boolean; readonly gone?: boolean } = {}): string[] {
    const rows = items.map((item) =>
      this.#columns.map((column) => toCell(options.gone && column.gone ? { text: column.gone, tone: "faint" } : column.cell(item))),
    );
    this.#widths = this.#widths.map((width, index) => Math.max(width, ...rows.map((row) => displayWidth(row[index]?.text ?? ""))));
    const layout = this.#layout();
    const header = this.#columns.map(({ title }) => ({ text: title, tone: "faint" as const }));
    return (options.header ? [header, ...rows] : rows).map((row) => this.#line(row, layout));
  }

  #layout(): Layout {
    const { width, indent = 0 } = this.#style;
    const natural = [...this.#widths];
    const excess = (widths: readonly number[], gap: number) => {
      const shown = widths.filter((one) => one > 0);
      return width === undefined ? 0 : indent + shown.reduce((sum, one) => sum + one, 0) + gap * (shown.length - 1) - width;
    };
    if (excess(natural, GAP) <= 0) return { widths: natural, gap: GAP };
    const readable = this.#squeeze(natural, excess(natural, NARROW_GAP), READABLE_ELASTIC);
    if (excess(readable, NARROW_GAP) <= 0) return { widths: readable, gap: NARROW_GAP };
    const fewer = natural.map((one, index) => (this.#columns[index]?.optional ? 0 : one));
    return { widths: this.#squeeze(fewer, excess(fewer, NARROW_GAP), LEAST_ELASTIC), gap: NARROW_GAP };
  }

  /** Takes what is too much from the elastic columns, the widest first. */
  #squeeze(natural: readonly number[], excess: number, least: number): number[] {
    const widths = [...natural];
    for (let rest = excess; rest > 0; rest--) {
      let widest = -1;
      for (const [index, column] of this.#columns.entries()) {
        const width = widths[index] ?? 0;
        if (column.elastic && width > Math.max(least, displayWidth(column.title)) && width > (widths[widest] ?? 0)) widest = index;
      }
      if (widest < 0) break;
      widths[widest] = (widths[widest] ?? 0) - 1;
    }
    return widths;
  }

  #line(row: readonly { text: string; tone: Tone }[], { widths, gap }: Layout): string {
    const { paint, indent = 0 } = this.#style;
    let line = "";
    for (const [index, cell] of row.entries()) {
      const width = widths[index] ?? 0;
      if (width === 0) continue;
      const text = truncate(cell.text, width);
      const space = " ".repeat(width - displayWidth(text));
      const painted = paint(cell.tone, text);
      line += `${" ".repeat(line === "" ? indent : gap)}${this.#columns[index]?.align === "right" ? space + painted : painted + space}`;
    }
    return line.trimEnd();
  }
}

function toCell(cell: Cell): { text: string; tone: Tone } {
  const { text, tone } = typeof cell === "string" ? { text: cell, tone: "plain" as const } : cell;
  const clean = cleanText(text);
  return { text: clean === "" ? "-" : clean, tone: clean === "" || clean === "-" ? "faint" : tone };
}

/** A whole table at once. */
export function formatTable<T>(columns: readonly Column<T>[], items: readonly T[], style: TableStyle): string[] {
  return new TablePrinter(columns, style).lines(items, { header: true });
}
