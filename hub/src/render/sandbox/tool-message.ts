/** Characters of a tool's message that a person gets to see. */
const MAX_MESSAGE = 2_000;

/**
 * What a tool said on standard error, for people: without its prefix, its advice and the private folder's path, on one
 * line, bounded.
 */
export function toolMessage(stderr: string, folder: string): string {
  const lines = stderr
    .replaceAll(`${folder}/input/`, "")
    .replaceAll(`${folder}/input`, ".")
    .replaceAll(`${folder}/`, "")
    .replaceAll(folder, "")
    // Arguments are relative to the private folder, see ToolCall.
    .replaceAll("./input/", "")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("Use --debug flag") && !/^(?:level=|time=|WARNING:|# Warning)/.test(line));
  const message = lines.join(" ").replace(/^Error: /, "");
  if (message === "") return "no message";
  return message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE)} …` : message;
}
