import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { buildBundles, bundleFile, type Program } from "../build/bundle.ts";
import { createTempFolder } from "./temp-folder.ts";

/** Our programs as images carry them, and what Node has to be told for them. */
export interface BuiltPrograms {
  /** Files. */
  readonly hub: string;
  readonly agent: string;
  /** Where Node finds their code compiled. */
  readonly env: Readonly<Record<string, string>>;
}

/** Names a folder that {@link buildPrograms} has filled, for all processes of one run. */
const FOLDER_VARIABLE = "MUSTER_TEST_PROGRAMS";

const PROGRAMS = ["hub", "agent"] as const satisfies readonly Program[];

/**
 * Builds hub and agent, for this process and those that it starts from now on. From their sources the programs take two seconds of CPU to
 * start, of which nothing is about them; so they take a fifth of that.
 */
export async function buildPrograms(folder: string): Promise<BuiltPrograms> {
  await buildBundles({ outDir: folder, programs: PROGRAMS });
  const built = programsIn(folder);
  // Only who ends by itself leaves compiled code behind: here with a complaint about its settings.
  for (const program of PROGRAMS) spawnSync(process.execPath, [built[program]], { env: { ...built.env } });
  process.env[FOLDER_VARIABLE] = folder;
  return built;
}

let own: Promise<BuiltPrograms> | undefined;

/** Those of the run, or else built now, once. */
export function builtPrograms(): Promise<BuiltPrograms> {
  const folder = process.env[FOLDER_VARIABLE];
  if (folder) return Promise.resolve(programsIn(folder));
  own ??= buildPrograms(createTempFolder("programs").path);
  return own;
}

function programsIn(folder: string): BuiltPrograms {
  const file = (program: Program) => join(folder, bundleFile(program));
  return { hub: file("hub"), agent: file("agent"), env: { NODE_COMPILE_CACHE: join(folder, "compiled") } };
}
