/** What a piece of text means. Colours only repeat what the words say. */
export type Tone = "good" | "warn" | "bad" | "faint" | "strong" | "plain";

/** Puts a tone on a text, or leaves the text as it is where colours are not wanted. */
export type Paint = (tone: Tone, text: string) => string;

const CODES: Readonly<Record<Exclude<Tone, "plain">, string>> = { good: "32", warn: "33", bad: "31", faint: "2", strong: "1" };

/** The value of `--color`. */
export type ColorChoice = "auto" | "always" | "never";

/** Colours on a terminal, unless NO_COLOR (any value but empty, see no-color.org) or TERM=dumb; `--color` is stronger. */
export function createPaint(choice: ColorChoice, isTTY: boolean, env: Readonly<Record<string, string | undefined>>): Paint {
  const auto = isTTY && !env["NO_COLOR"] && env["TERM"] !== "dumb";
  const on = choice === "always" || (choice === "auto" && auto);
  if (!on) return (_tone, text) => text;
  return (tone, text) => (tone === "plain" || text === "" ? text : `\u001b[${CODES[tone]}m${text}\u001b[0m`);
}
