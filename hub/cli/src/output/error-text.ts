import { type CodedError, formatPosition } from "@muster/shared/errors";
import type { Paint } from "./style.ts";
import { cleanText, wrapText } from "./text.ts";

/**
 * An error in three parts: what went wrong (with its code), the detail, and how to fix it. `data.detail` and `data.hint`
 * of the error are closer to the case than the table's meaning and hint.
 */
export function errorLines(error: CodedError, paint: Paint, width: number | undefined): string[] {
  const where = error.at ? `${formatPosition(error.at)}: ` : "";
  const detail = typeof error.data["detail"] === "string" ? error.data["detail"] : error.info.meaning;
  const hint = typeof error.data["hint"] === "string" ? error.data["hint"] : error.info.hint;
  const part = (label: string, text: string) =>
    wrapText(cleanText(text), Math.max(40, (width ?? Number.POSITIVE_INFINITY) - 7)).map(
      (line, index) => `${index === 0 ? label.padEnd(7) : "       "}${line}`,
    );
  return [
    ...part("error:", `${where}${error.message}`).map((line, index, all) => {
      const told = index === 0 ? line.replace("error:", paint("bad", "error:")) : line;
      return index === all.length - 1 ? `${told} ${paint("faint", `[${error.code}]`)}` : told;
    }),
    ...part("", detail),
    ...part("fix:", hint).map((line, index) => (index === 0 ? line.replace("fix:", paint("good", "fix:")) : line)),
  ];
}
