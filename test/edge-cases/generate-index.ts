import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { EDGE_CASES } from "./rows.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PATH = "shared/docs/edge-cases.md";

/** A test, and the ids that its name begins with. */
interface NamedTest {
  readonly ids: readonly string[];
  readonly guarantee: string;
  readonly file: string;
}

/** Names of tests, and of groups of them, that begin with ids of edge cases. */
export function namedTests(text: string, file: string): NamedTest[] {
  const names = text.matchAll(/(["`])((?:[A-Z]{1,4}\d{1,3}(?:, | and )?)+): ((?:(?!\1)[^\n])+)\1/g);
  return [...names].map(([, , ids = "", guarantee = ""]) => ({ ids: ids.match(/E\d{3}/g) ?? [], guarantee, file }));
}

/** The index of edge cases, from the rows and from the names of the tests. Throws an Error if a row is neither tested nor told of. */
export function generate(): Record<string, string> {
  const files = globSync("{agent,hub,shared,test}/**/*.test.ts", { cwd: ROOT, exclude: ["**/node_modules/**"] }).sort();
  const tests = Map.groupBy(
    files
      .flatMap((file) => namedTests(readFileSync(`${ROOT}/${file}`, "utf8"), file))
      .flatMap((test) => test.ids.map((id) => ({ id, test }))),
    ({ id }) => id,
  );
  const rows = Object.entries(EDGE_CASES);
  const untold = rows.filter(([id, { open, notApplicable }]) => !tests.has(id) && !open && !notApplicable).map(([id]) => id);
  if (untold.length > 0) throw new Error(`no test, and no word why: ${untold.join(", ")}`);
  const open = rows.filter(([, row]) => row.open);
  const lines = [
    "<!-- Made by `npm run generate` from test/edge-cases/rows.ts and the names of the tests. -->",
    "",
    "# Edge cases of the agent's engine",
    "",
    `${rows.length} cases, each met by a peer or to be expected; of a ★ one a peer lost data or stayed stuck. What a test guarantees is its name;`,
    `\`npm test -- PATH\` runs it, on a real API server where its path has \`rig\`. ${open.length} cases are not done, or not to the end: they say so.`,
  ];
  for (const [section, inSection] of Map.groupBy(rows, ([, row]) => row.section)) {
    lines.push("", `## ${section}`);
    for (const [id, row] of inSection) {
      lines.push("", `**${id}**${row.star ? " ★" : ""} ${row.what}`, "");
      for (const { test } of tests.get(id) ?? []) lines.push(`- ${test.guarantee} (\`${test.file}\`)`);
      if (row.open) lines.push(`- *Open:* ${row.open}`);
      if (row.notApplicable) lines.push(`- *Not here:* ${row.notApplicable}`);
    }
  }
  return { [PATH]: `${lines.join("\n")}\n` };
}
