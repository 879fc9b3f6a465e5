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
  /** Gives way first when the terminal is too narrow: cut to no less than its title or 12 columns. */
  readonly elastic?: boolean;
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

const GAP = 3;
const LEAST_ELASTIC = 12;

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
    const rows = items.map((item) => this.#columns.map((column) => toCell(options.gone && column.gone ? { text: column.gone, tone: "faint" } : column.cell(item))));
    this.#widths = this.#widths.map((width, index) => Math.max(width, ...rows.map((row) => displayWidth(row[index]?.text ?? ""))));
    const widths = this.#fitted();
    const header = this.#columns.map(({ title }) => ({ text: title, tone: "faint" as const }));
    return (options.header ? [header, ...rows] : rows).map((row) => this.#line(row, widths));
  }

  /** Takes what is too much from elastic columns, the widest first. */
  #fitted(): number[] {
    const widths = [...this.#widths];
    const { width, indent = 0 } = this.#style;
    if (width === undefined) return widths;
    let excess = indent + widths.reduce((sum, one) => sum + one, 0) + GAP * (widths.length - 1) - width;
    const elastic = widths.map((_, index) => index).filter((index) => this.#columns[index]?.elastic);
    while (excess > 0) {
      const widest = elastic.reduce((best, index) => ((widths[index] ?? 0) > (widths[best] ?? 0) ? index : best), elastic[0] ?? -1);
      if (widest < 0 || (widths[widest] ?? 0) <= Math.max(LEAST_ELASTIC, displayWidth(this.#columns[widest]?.title ?? ""))) break;
      widths[widest] = (widths[widest] ?? 0) - 1;
      excess -= 1;
    }
    return widths;
  }

  #line(row: readonly { text: string; tone: Tone }[], widths: readonly number[]): string {
    const { paint, indent = 0 } = this.#style;
    let line = " ".repeat(indent);
    for (const [index, cell] of row.entries()) {
      const width = widths[index] ?? 0;
      const text = truncate(cell.text, width);
      const space = " ".repeat(width - displayWidth(text));
      const painted = paint(cell.tone, text);
      const last = index === row.length - 1;
      if (this.#columns[index]?.align === "right") line += space + painted;
      else line += painted + (last ? "" : space);
      if (!last) line += " ".repeat(GAP);
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
