import { isMap, isNode, parseDocument, stringify, visit } from "yaml";

/** One row: a value that has a comment of its own, and its default. */
export interface ValueRow {
  readonly path: string;
  readonly description: string;
  readonly defaultText: string;
}

const START = "<!-- values:";
const END = "<!-- /values -->";

/**
 * Reads the documented values of a chart. A comment line above a key documents it. A map with comments inside is a
 * group: its members are documented, not the map. Throws an Error that lists keys that are documented nowhere.
 */
export function readValueRows(valuesYaml: string): ValueRow[] {
  // A comment that an empty line separates from the first key belongs to the document, not to the key.
  const document = parseDocument(valuesYaml);
  const rows: ValueRow[] = [];
  const undocumented: string[] = [];
  visit(document, {
    Pair(_, pair, ancestors) {
      const key = pair.key as { value: string; commentBefore?: string | null };
      const path = [...ancestors.flatMap((node) => ("key" in node ? [(node.key as { value: string }).value] : [])), key.value].join(".");
      // The first key of a map has its comment on the map.
      const map = ancestors.at(-1);
      const isFirst = isMap(map) && map.items[0] === pair;
      const comment = key.commentBefore ?? (isFirst && ancestors.length > 1 ? map.commentBefore : undefined);
      if (comment && !hasCommentInside(pair.value)) {
        // What an empty line separates from the key is about the file.
        const own = comment.split(/\n\s*\n/).at(-1) ?? "";
        const description = own
          .split("\n")
          .map((line) => line.trim())
          .join(" ");
        rows.push({ path, description, defaultText: formatDefault(pair.value) });
        return visit.SKIP;
      }
      if (!isMap(pair.value) || pair.value.items.length === 0) undocumented.push(path);
      return undefined;
    },
  });
  if (undocumented.length > 0) throw new Error(`values without a comment: ${undocumented.join(", ")}`);
  return rows;
}

/** Puts the table of values between the markers of a README. Throws an Error if they are missing. */
export function insertValuesTable(readme: string, valuesYaml: string): string {
  const start = readme.indexOf(START);
  const end = readme.indexOf(END);
  if (start < 0 || end < start) throw new Error(`README lacks the markers ${START} … --> and ${END}`);
  const firstLineEnd = readme.indexOf("\n", start) + 1;
  return readme.slice(0, firstLineEnd) + formatTable(readValueRows(valuesYaml)) + readme.slice(end);
}

function hasCommentInside(value: unknown): boolean {
  if (!isMap(value)) return false;
  return (
    Boolean(value.commentBefore) ||
    value.items.some((pair) => (isNode(pair.key) && Boolean(pair.key.commentBefore)) || hasCommentInside(pair.value))
  );
}

function formatTable(rows: readonly ValueRow[]): string {
  const lines = rows.map(
    (row) => `| \`${row.path}\` | ${row.description.replaceAll("|", "\\|")} | \`${row.defaultText.replaceAll("|", "\\|")}\` |`,
  );
  return ["| value | meaning | default |", "| --- | --- | --- |", ...lines, ""].join("\n");
}

function formatDefault(value: unknown): string {
  const text = stringify(value, { collectionStyle: "flow", flowCollectionPadding: true, lineWidth: 0, indentSeq: false });
  return text.trim().replaceAll(/\s+/g, " ");
}
