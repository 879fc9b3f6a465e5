import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { bundleFile, IMAGE_ENV, NODE_ARGS } from "./bundle.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string) => readFileSync(`${root}/${path}`, "utf8");

/** The instructions of a Dockerfile, one per line. */
function instructions(path: string): { keyword: string; rest: string }[] {
  const lines = read(path).replaceAll(/\\\n/g, " ").split("\n");
  return lines
    .filter((line) => /^[A-Z]+ /.test(line))
    .map((line) => ({ keyword: line.split(" ")[0] ?? "", rest: line.slice(line.indexOf(" ") + 1).trim() }));
}

const lastOf = (path: string, keyword: string) => instructions(path).findLast((instruction) => instruction.keyword === keyword)?.rest;

describe.each(["hub", "agent"] as const)("the image of the %s", (side) => {
  const path = `${side}/Dockerfile`;

  it("starts the bundle as the tests do", () => {
    const entrypoint = JSON.parse(lastOf(path, "ENTRYPOINT") ?? "[]") as string[];
    expect(entrypoint[0]).toMatch(/^(\/usr\/local\/bin\/)?node$/);
    expect(entrypoint.slice(1)).toEqual([...NODE_ARGS[side], `/opt/muster/${bundleFile(side)}`]);
    const env = Object.fromEntries((lastOf(path, "ENV") ?? "").split(/\s+/).map((entry) => entry.split("=")));
    expect(env).toMatchObject(IMAGE_ENV[side]);
  });

  it("runs as the user that the chart names, never as root", () => {
    expect(lastOf(path, "USER")).toBe("65532:65532");
    expect(read(`charts/${side}/values.yaml`)).toContain("runAsUser: 65532");
  });

  it("is made from images with a version", () => {
    const bases = instructions(path)
      .filter((instruction) => instruction.keyword === "FROM")
      .map((instruction) => instruction.rest.split(" ")[0] ?? "");
    expect(bases.length).toBeGreaterThan(1);
    for (const base of bases) expect(base).toMatch(/:(?!latest)[\w.-]+$/);
  });

  it("carries the licences of what is in it", () => {
    expect(read(path)).toMatch(/COPY --from=build .*THIRD-PARTY-NOTICES\.txt .*LICENSE/);
  });
});

describe("the image of the hub", () => {
  it("has helm and kustomize from the modules that the tests use, and helm knows its version", () => {
    const text = read("hub/Dockerfile");
    for (const tool of ["helm", "kustomize"]) expect(text).toContain(`COPY test/rig/tools/${tool}/go.mod test/rig/tools/${tool}/go.sum ./`);
    const pinned = /helm\.sh\/helm\/v4 (v[\d.]+)/.exec(read("test/rig/tools/helm/go.mod"))?.[1];
    expect(text).toContain(`-X helm.sh/helm/v4/internal/version.version=${pinned}`);
  });
});
