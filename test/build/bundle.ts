import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";
import { collectNotices } from "./notices.ts";
import { buildProtoDescriptor } from "./proto-descriptor.ts";
import { trimPackages } from "./trim-packages.ts";

/** The programs, by what they are called on the command line of the build. */
const PROGRAMS = {
  hub: { entry: "hub/src/main.ts", file: "muster-hub.mjs" },
  agent: { entry: "agent/src/main.ts", file: "muster-agent.mjs" },
  cli: { entry: "hub/cli/src/main.ts", file: "muster.mjs" },
} as const;

/** A program that can be bundled. */
export type Program = keyof typeof PROGRAMS;

/** Every program. */
export const ALL_PROGRAMS = Object.keys(PROGRAMS) as readonly Program[];

/**
 * How the images call Node. The agent trades a little speed for memory, since one runs in every cluster: a small young
 * generation and eager collection took 1,000 objects from 149 to 107 MiB resident. Tests and benches start bundles the same way.
 */
export const NODE_ARGS: Readonly<Record<Program, readonly string[]>> = {
  hub: [],
  agent: ["--max-semi-space-size=1", "--optimize-for-size"],
  cli: [],
};

/**
 * What the images set before Node starts. glibc gives every thread an arena of its own, of which little is used: one arena for
 * all took 7 MiB off the agent, which allocates on one thread almost alone.
 */
export const IMAGE_ENV: Readonly<Record<Program, Readonly<Record<string, string>>>> = {
  hub: {},
  agent: { MALLOC_ARENA_MAX: "1" },
  cli: {},
};

/** The file of a program's bundle. */
export function bundleFile(program: Program): string {
  return PROGRAMS[program].file;
}

/** With one character beyond ASCII in it, Node keeps the text of a program in two bytes a character: 3 MiB of the agent's memory. */
function toAscii(file: string): void {
  const text = readFileSync(file, "utf8");
  // What esbuild leaves are characters of regular expressions, where an escape says the same.
  const ascii = text.replaceAll(/[^\x00-\x7f]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
  if (ascii !== text) writeFileSync(file, ascii);
}

/** Options of {@link buildBundles}. */
export interface BundleOptions {
  /** Folder for the bundles; made if it does not exist. */
  readonly outDir: string;
  /** Default all. */
  readonly programs?: readonly Program[];
  /** Entry files in place of the programs' own, for tests of the build itself. */
  readonly entries?: Partial<Record<Program, string>>;
  /** Root of the checkout. Default the one that this file is in. */
  readonly root?: string;
}

/** An entry's own `#!` line would stand above the banner, which has one. Its line stays, so that the map is right. */
const withoutShebang: Plugin = {
  name: "without-shebang",
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/main\.ts$/ }, ({ path }) => ({ contents: readFileSync(path, "utf8").replace(/^#!.*/, ""), loader: "ts" }));
  },
};

/** Packages in CommonJS call `require` for Node's own modules, which an ES module does not have. */
function banner(protoDir: string): string {
  return `#!/usr/bin/env node
import { createRequire as musterCreateRequire } from "node:module";
const require = musterCreateRequire(import.meta.url);
const MUSTER_PROTO_DESCRIPTOR = ${JSON.stringify(buildProtoDescriptor(protoDir))};`;
}

/**
 * Bundles each program into one ES module without dependencies, for Node 26, and writes THIRD-PARTY-NOTICES.txt beside
 * them. Gives the path of every program, also of those that were not asked for.
 */
export async function buildBundles(options: BundleOptions): Promise<Record<Program, string>> {
  const { outDir, programs = ALL_PROGRAMS, entries = {}, root = fileURLToPath(new URL("../..", import.meta.url)) } = options;
  const result = await build({
    absWorkingDir: root,
    entryPoints: programs.map((program) => ({
      in: entries[program] ?? PROGRAMS[program].entry,
      out: PROGRAMS[program].file.replace(/\.mjs$/, ""),
    })),
    outdir: outDir,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node26",
    // Names stay, so that stack traces can be read; the map is for debuggers and is not shipped.
    minifyWhitespace: true,
    // An uncaught error prints its line of source: one of megabytes would bury the message.
    lineLimit: 200,
    sourcemap: "external",
    legalComments: "none",
    metafile: true,
    logLevel: "silent",
    plugins: [withoutShebang, trimPackages],
    banner: { js: banner(join(root, "proto")) },
  });
  for (const file of Object.keys(result.metafile.outputs)) if (file.endsWith(".mjs")) toAscii(join(root, file));
  mkdirSync(outDir, { recursive: true });
  writeFileSync(join(outDir, "THIRD-PARTY-NOTICES.txt"), collectNotices(root, Object.keys(result.metafile.inputs)));
  return { hub: join(outDir, PROGRAMS.hub.file), agent: join(outDir, PROGRAMS.agent.file), cli: join(outDir, PROGRAMS.cli.file) };
}
