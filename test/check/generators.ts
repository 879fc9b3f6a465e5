import { execFile } from "node:child_process";
import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { insertValuesTable } from "./chart-values-table.ts";

const run = promisify(execFile);

/** Something in the repository that is made from something else in it. */
export interface Generator {
  readonly name: string;
  /** Files or folders that it makes, from the root of the checkout. All that stands in such a folder is generated. */
  readonly outputs: readonly string[];
  /** Reads from `root`, writes below `outRoot` (which may be the same). */
  generate(root: string, outRoot: string): Promise<void>;
}

/** Every generator of the repository: those here, and every `generate-<what>.ts` beside the source of what it makes. */
export async function allGenerators(root: string): Promise<Generator[]> {
  const paths = globSync("{shared,hub,agent,test}/**/generate-*.ts", { cwd: root, exclude: ["**/node_modules/**", "**/*.test.ts"] });
  return [
    { name: "gRPC types", outputs: ["shared/src/rpc/gen"], generate: generateProtoTypes },
    chartReadme("hub"),
    chartReadme("agent"),
    ...(await Promise.all(paths.sort().map((path) => besideItsSource(root, path)))),
  ];
}

/**
 * A module whose `generate()` gives the files to be, as text by their path from the root of the checkout. It writes nothing
 * itself. Throws an Error if the module has no such function.
 */
async function besideItsSource(root: string, path: string): Promise<Generator> {
  const module = (await import(pathToFileURL(join(root, path)).href)) as { generate?: () => Files | Promise<Files> };
  if (!module.generate) throw new Error(`${path} exports no function generate(), which gives Record<path, text>`);
  const files = await module.generate();
  return {
    name: path,
    outputs: Object.keys(files),
    async generate(_root, outRoot) {
      for (const [file, text] of Object.entries(files)) writeText(join(outRoot, file), text);
    },
  };
}

type Files = Readonly<Record<string, string>>;

/** The options fit LOADER_OPTIONS of shared/src/rpc/loader.ts: the types say what the loader makes. */
async function generateProtoTypes(root: string, outRoot: string): Promise<void> {
  // `proto` stays relative: its path ends up in a comment of every file.
  const program = join(root, "node_modules/@grpc/proto-loader/build/bin/proto-loader-gen-types.js");
  const options = ["--importFileExtension=.ts", "--longs=Number", "--enums=String", "--defaults", "--oneofs", "--includeComments"];
  const places = ["--grpcLib=@grpc/grpc-js", "--includeDirs", "proto", "-O", join(outRoot, "shared/src/rpc/gen")];
  await run(process.execPath, [program, ...options, ...places, "muster/v1/agent.proto"], { cwd: root });
}

function chartReadme(chart: "hub" | "agent"): Generator {
  const path = `charts/${chart}/README.md`;
  return {
    name: `values table of charts/${chart}`,
    outputs: [path],
    async generate(root, outRoot) {
      const values = readFileSync(join(root, `charts/${chart}/values.yaml`), "utf8");
      writeText(join(outRoot, path), insertValuesTable(readFileSync(join(root, path), "utf8"), values));
    },
  };
}

/** Writes a file and the folders above it. */
function writeText(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
