import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

const FOLDER = join(import.meta.dirname, "fleet");

/** The clusters of the sample fleet. */
export const SAMPLE_CLUSTERS = ["eu-west-1", "us-east-1", "lab-1"] as const;

/** The sample fleet's files, by path. */
export function sampleFleet(): Record<string, string> {
  const files: Record<string, string> = {};
  const walk = (folder: string) => {
    for (const name of readdirSync(join(FOLDER, folder))) {
      const path = folder === "" ? name : `${folder}/${name}`;
      if (statSync(join(FOLDER, path)).isDirectory()) walk(path);
      else files[path] = readFileSync(join(FOLDER, path), "utf8");
    }
  };
  walk("");
  return files;
}
