import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { DEFAULT_MINOR, KUBERNETES, OLDER_MINOR } from "../rig/kubernetes.ts";
import { type NamedTest, namedTests } from "./named-tests.ts";
import { EDGE_CASES, type EdgeCase } from "./rows.ts";
import { filesForOlder } from "./starred.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PATH = "shared/docs/edge-cases.md";

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
  const onBoth = new Set(filesForOlder());
  const lines = [
    "<!-- Made by `npm run generate` from test/edge-cases/rows.ts and the names of the tests. -->",
    "",
    "# Edge cases of the agent's engine",
    "",
    `${rows.length} cases, each met by a peer or to be expected; of a ★ one a peer lost data or stayed stuck. What a test guarantees is its name;`,
    `\`npm test -- PATH\` runs it, on a real API server where its path has \`rig\`. ${open.length} cases are not done, or not to the end: they say so.`,
    "",
    `Everything runs on Kubernetes ${KUBERNETES[DEFAULT_MINOR].version}; tests of ★ cases that say “both” run on ${KUBERNETES[OLDER_MINOR].version} as well, on every`,
    `\`npm test\`. \`npm run test:kube-${OLDER_MINOR}\` runs everything on that one.`,
  ];
  for (const [section, inSection] of Map.groupBy(rows, ([, row]) => row.section)) {
    lines.push("", `## ${section}`);
    for (const [id, row] of inSection) lines.push(...rowLines(id, row, tests.get(id) ?? [], onBoth));
  }
  return { [PATH]: `${lines.join("\n")}\n` };
}

function rowLines(id: string, row: EdgeCase, tests: readonly { readonly test: NamedTest }[], onBoth: ReadonlySet<string>): string[] {
  const where = ({ file }: NamedTest) => `\`${file}\`${row.star && onBoth.has(file) ? ", both" : ""}`;
  const lines = [
    "",
    `**${id}**${row.star ? " ★" : ""} ${row.what}`,
    "",
    ...tests.map(({ test }) => `- ${test.guarantee} (${where(test)})`),
  ];
  if (row.open) lines.push(`- *Open:* ${row.open}`);
  if (row.notApplicable) lines.push(`- *Not here:* ${row.notApplicable}`);
  return lines;
}
