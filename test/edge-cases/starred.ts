import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { namedTests } from "./named-tests.ts";
import { EDGE_CASES } from "./rows.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Ids of the edge cases of which a peer lost data or stayed stuck. */
const STARRED = Object.entries(EDGE_CASES).flatMap(([id, { star }]) => (star ? [id] : []));

/** What is beside the edge cases in a file that is to hold on every minor version: the contract of a Kubernetes client. */
const CONTRACTS: ReadonlySet<string> = new Set(["agent/src/kube/cluster.rig.test.ts"]);

/** true for a test, by its file and its name with those of its groups, that runs on the older minor version of Kubernetes too. */
export function runsOnOlder(file: string, fullName: string): boolean {
  return CONTRACTS.has(file) || STARRED.some((id) => fullName.includes(id));
}

/** Files with such tests, relative to the repository. The hub does not speak to API servers. */
export function filesForOlder(): string[] {
  return globSync("{agent,test}/**/*.rig.test.ts", { cwd: ROOT, exclude: ["**/node_modules/**"] })

    .filter((file) => CONTRACTS.has(file) || hasStarred(file))
    .sort();
}

function hasStarred(file: string): boolean {
  return namedTests(readFileSync(`${ROOT}/${file}`, "utf8"), file).some(({ ids }) => ids.some((id) => STARRED.includes(id)));
}
