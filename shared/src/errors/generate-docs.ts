import { ERROR_CODES } from "./table.ts";

/** `shared/docs/errors.md`, from the table of codes. */
export function generate(): Record<string, string> {
  const lines = [
    "# Error codes",
    "",
    "Every error that a person can see has one of these codes; the code is stable, the text is not. Made from `shared/src/errors`; do not edit.",
    "",
    "Exit codes of the commands: 1 failed, 2 bad input or usage, 3 cannot be reached, 4 not allowed, 5 not found.",
    "",
  ];
  for (const [code, info] of Object.entries(ERROR_CODES).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const facts = [
      `exit ${info.exitCode}`,
      ...(info.httpStatus ? [`HTTP ${info.httpStatus}`] : []),
      info.retryable ? "tried again by itself" : "needs somebody to act",
    ];
    lines.push(`## ${code}`, "", `${info.meaning} (${facts.join(", ")})`, "", info.hint, "");
  }
  return { "shared/docs/errors.md": lines.join("\n") };
}
