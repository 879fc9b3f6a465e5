import { ERROR_CODES, isErrorCode } from "@muster/shared/errors";
import type { Paint, Tone } from "./style.ts";
import { cleanText, displayWidth, wrapText } from "./text.ts";

/** Marks, always beside a word, so that neither colour nor shape is all there is. */
export const MARKS = { good: "✓", warn: "!", bad: "✗", faint: "·", strong: "•", plain: " " } as const satisfies Record<Tone, string>;

/** Columns for running text where no terminal says otherwise. */
const TEXT_WIDTH = 100;

/** Builds a page of text: a headline, sections, fields, and things that are wrong. */
export class Report {
  readonly #lines: string[] = [];
  readonly #paint: Paint;
  readonly #width: number;

  readonly #hinted: Set<string> | undefined;

  /** Without `hints`, {@link hint} says nothing: for pages on which something else comes first. Default true. */
  constructor(paint: Paint, width: number | undefined, options: { readonly hints?: boolean } = {}) {
    this.#hinted = (options.hints ?? true) ? new Set() : undefined;
    this.#paint = paint;
    this.#width = width ?? TEXT_WIDTH;
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  /** `Cluster eu-west-1   Held`. */
  headline(what: string, name: string, state: { readonly text: string; readonly tone: Tone }): void {
    this.#lines.push(
      `${what} ${this.#paint("strong", cleanText(name))}   ${this.#paint(state.tone, `${MARKS[state.tone]} ${state.text}`)}`,
    );
  }

  section(title: string): void {
    this.#lines.push("", this.#paint("strong", title));
  }

  /** Lines that are formatted already. */
  raw(lines: readonly string[]): void {
    this.#lines.push(...lines);
  }

  /** Aligned `label   value` pairs; those without a value are left out. */
  fields(pairs: readonly (readonly [label: string, value: string | undefined, tone?: Tone])[]): void {
    const shown = pairs.filter(([, value]) => value !== undefined && value !== "");
    const labelWidth = Math.max(0, ...shown.map(([label]) => displayWidth(label)));
    for (const [label, value = "", tone = "plain"] of shown) {
      const indent = 2 + labelWidth + 3;
      for (const [index, line] of wrapText(cleanText(value), this.#width - indent).entries()) {
        const head =
          index === 0 ? `  ${this.#paint("faint", label)}${" ".repeat(labelWidth - displayWidth(label) + 3)}` : " ".repeat(indent);
        this.#lines.push(`${head}${this.#paint(tone, line)}`);
      }
    }
  }

  /** One thing that is wrong: `  ✗ Held  the message … [CODE] · 3m`. */
  item(
    tone: Tone,
    title: string,
    message: string,
    options: { readonly code?: string | undefined; readonly age?: string | undefined } = {},
  ): void {
    const tail = [options.code ? `[${options.code}]` : undefined, options.age && options.age !== "-" ? `${options.age} ago` : undefined]
      .filter((part) => part !== undefined)
      .join(" · ");
    const head = `  ${this.#paint(tone, MARKS[tone])} ${this.#paint("strong", cleanText(title))}`;
    const one = message === "" ? "" : `  ${cleanText(message)}`;
    const oneLine = 4 + displayWidth(cleanText(title)) + displayWidth(one) + (tail === "" ? 0 : 2 + displayWidth(tail));
    const faintTail = tail === "" ? "" : `  ${this.#paint("faint", tail)}`;
    if (oneLine <= this.#width) {
      this.#lines.push(`${head}${one}${faintTail}`);
      return;
    }
    this.#lines.push(`${head}${faintTail}`);
    this.note(message);
  }

  /** Text that belongs to the item above. */
  note(text: string, tone: Tone = "plain"): void {
    if (text === "") return;
    for (const line of wrapText(cleanText(text), this.#width - 6)) this.#lines.push(`      ${this.#paint(tone, line)}`);
  }

  /** What to do about an error code, once per page. */
  hint(code: string | undefined): void {
    if (code === undefined || !this.#hinted || this.#hinted.has(code) || !isErrorCode(code)) return;
    this.#hinted.add(code);
    this.note(`→ ${ERROR_CODES[code].hint}`, "faint");
  }

  /** Text to copy, as it is: neither wrapped nor painted. */
  code(lines: readonly string[]): void {
    for (const line of lines) this.#lines.push(`        ${cleanText(line)}`);
  }
}
