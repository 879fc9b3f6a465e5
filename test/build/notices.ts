import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * The licences of all packages that went into a bundle, as one text. `inputs` are the bundler's input files, relative to
 * `root`. Throws an Error for a package that names no licence: such a one may not be shipped.
 */
export function collectNotices(root: string, inputs: readonly string[]): string {
  const folders = new Set(inputs.flatMap((input) => packageFolder(input) ?? []));
  const notices = [...folders].map((folder) => readNotice(join(root, folder)));
  notices.sort((left, right) => (left.title < right.title ? -1 : 1));
  const intro = "Muster contains the following packages, each under its own licence.\n";
  return [intro, ...notices.map((notice) => `${"-".repeat(80)}\n${notice.title}\n\n${notice.text}\n`)].join("\n");
}

/** `node_modules/@scope/name` or `…/node_modules/name` of a file in a package; undefined for our own files. */
function packageFolder(input: string): string | undefined {
  return /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1];
}

function readNotice(folder: string): { title: string; text: string } {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Record<string, unknown>;
  if (typeof license !== "string") throw new Error(`${folder} names no licence`);
  const file = existsSync(folder) ? readdirSync(folder).find((entry) => /^(licen[cs]e|copying)/i.test(entry)) : undefined;
  const text = file === undefined ? `(the package has no licence file)` : readFileSync(join(folder, file), "utf8").trim();
  return { title: `${String(name)} ${String(version)} (${license})`, text };
}
