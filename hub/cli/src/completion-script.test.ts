import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runMuster } from "./testing/sample-hub.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;
type Shell = (typeof SHELLS)[number];
const PATH = process.env["PATH"] ?? "";
const isHere = (shell: Shell) => PATH.split(delimiter).some((folder) => existsSync(join(folder, shell)));

/** Stands for `muster` in the shells. It notes what it was asked; `MUSTER_HUB=none`: nobody answers. */
const FAKE_MUSTER = `#!/bin/sh
here=$(dirname "$0")
case "$*" in completion*) cat "$here/$2"; exit ;; esac
echo "$*" >> "$here/asked"
if [ "$MUSTER_HUB" = none ]; then echo 'error: the hub cannot be reached' >&2; exit 3; fi
case "$*" in
  "context list") cat "$here/contexts" ;;
  "get clusters -o name"*staging*) echo cluster/staging-1 ;;
  "get clusters "*) echo cluster/eu-1; echo cluster/lab-1; echo 'cluster/$(touch owned)' ;;
  "get bundles "*) echo bundle/guestbook; echo bundle/podinfo ;;
  "get targets podinfo "*) echo target/podinfo/eu-1; echo target/podinfo/lab-1 ;;
esac
`;

/** Cuts a line up as readline does, and calls the function that readline would call. */
const BASH = `eval "$LOAD"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _muster; printf '%s\\n' "\${COMPREPLY[@]}"`;
const bashWords = (line: string) => [...(line.match(/'[^']*'|[=:]+|[^\s=:']+/g) ?? []), ...(line.endsWith(" ") ? [""] : [])];

/** zsh completes only on a terminal: another zsh gets one, loads the script, has Tab pressed, and ends after that. */
const ZSH = `zmodload zsh/zpty; here=$(mktemp -d)
zpty shell "HERE=$here zsh -fi"; zpty -w shell "source $BIN/setup"; zpty -wn shell "$1"$'\\t'
while zpty -r shell; do :; done > /dev/null
cat $here/offered; cat $here/complaints >&2`;
const ZSH_SETUP = `: > $HERE/offered; exec 2> $HERE/complaints; eval "$LOAD"
compadd() {
  local -a offered
  # With these it only asks what would match.
  (( \${@[(I)-[OAD]*]} )) || { builtin compadd -O offered "$@"; print -rl -- $offered >> $HERE/offered }
  builtin compadd "$@"
}
comppostfuncs=(exit)`;

const ARGUMENTS: Readonly<Record<Shell, (line: string) => string[]>> = {
  bash: (line) => ["--norc", "--noprofile", "-c", BASH, "bash", ...bashWords(line)],
  zsh: (line) => ["-f", "-c", ZSH, "zsh", line],
  fish: (line) => ["--no-config", "-c", "eval $LOAD; complete -C $argv[1]", "--", line],
};

let folder: string;
let bin: string;
let work: string;
let loadLines: Readonly<Record<string, string>>;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "muster-completion-"));
  [bin, work] = [join(folder, "bin"), join(folder, "work")];
  for (const path of [bin, work, join(work, "checkout")]) mkdirSync(path);
  for (const file of ["ca.pem", "my token"]) writeFileSync(join(work, file), "");
  writeFileSync(join(bin, "muster"), FAKE_MUSTER, { mode: 0o755 });
  writeFileSync(join(bin, "setup"), ZSH_SETUP);
  for (const shell of SHELLS) writeFileSync(join(bin, shell), (await runMuster(["completion", shell])).out);
  const env = { MUSTER_CONFIG: join(folder, "config.yaml") };
  for (const name of ["lab", "staging"]) await runMuster(["context", "set", name, "--url", `https://${name}.example`], { env });
  writeFileSync(join(bin, "contexts"), (await runMuster(["context", "list"], { env })).out);
  const help = (await runMuster(["completion", "--help"])).out.split("\n").map((row) => row.trim().split(/ {2,}/));
  loadLines = Object.fromEntries(help.map(([shell = "", , line = ""]) => [shell, line]));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.each(SHELLS.filter(isHere))("completion in a real %s, loaded by the line of its help", (shell) => {
  /** What Tab offers after each line. Folders lose their slash, and what fish gives whole is cut: `--option=value`. */
  const offered = (lines: readonly string[], env?: Record<string, string>): Promise<string[][]> =>
    Promise.all(lines.map((line) => offeredAfter(line, env)));

  async function offeredAfter(line: string, env: Record<string, string> = {}): Promise<string[]> {
    const { stdout, stderr } = await promisify(execFile)(shell, ARGUMENTS[shell](`muster ${line}`), {
      cwd: work,
      timeout: 15_000,
      env: { PATH: `${bin}${delimiter}${PATH}`, HOME: folder, TMPDIR: folder, BIN: bin, LOAD: loadLines[shell] ?? "", ...env },
    });
    expect([line, stderr]).toEqual([line, ""]);
    const words = stdout.split("\n").map((text) =>
      text
        .replace(/\t.*|\/$/g, "")
        .replace(/^--[a-z-]+=/, "")
        .replace("\\ ", " "),
    );
    return [...new Set(words)].filter((word) => word !== "").sort();
  }

  it("offers commands, and after a dash the options of the command and of muster itself", async () => {
    const [commands, clusters, kinds, options] = await offered(["", "get cl", "describe ", "get cl -"]);
    expect(commands).toEqual(expect.arrayContaining(["completion", "context", "get", "reconcile", "status"]));
    expect(commands?.filter((word) => word.startsWith("-"))).toEqual([]);
    expect([clusters, kinds]).toEqual([["clusters"], ["bundle", "cluster", "target"]]);
    expect(options).toEqual(expect.arrayContaining(["--output", "--selector", "--context", "--token-file", "--color", "--help"]));
    expect(options).not.toContain("--bundle");
  });

  it("offers the values of an option, as this very command takes them", async () => {
    expect(await offered(["get targets -o ", "describe target --output ", "get targets --output=j", "status --color "])).toEqual([
      ["json", "name", "table", "wide", "yaml"],
      ["json", "text", "yaml"],
      ["json"],
      ["always", "auto", "never"],
    ]);
    expect(await offered(["get events --bundle ", "completion "])).toEqual([
      ["guestbook", "podinfo"],
      ["bash", "fish", "zsh"],
    ]);
  });

  it.each([
    ["clusters", ["get clusters ", "get drift ", "describe cluster ", "describe target podinfo ", "reconcile "], ["eu-1", "lab-1"]],
    ["bundles", ["get bundles ", "get targets ", "describe target ", "reconcile lab-1 "], ["guestbook", "podinfo"]],
    ["targets", ["get targets podinfo/"], ["podinfo/eu-1", "podinfo/lab-1"]],
    ["contexts", ["--context ", "get clusters --context=", "context use "], ["lab", "staging"]],
    ["no names", ["reconcile lab-1 podinfo ", "render ", "render lab-1 ", "get revisions "], []],
  ])("offers %s where they are wanted", async (_what, lines, names) => {
    expect(await offered(lines)).toEqual(lines.map(() => names));
  });

  it("runs nothing that a hub gives as a name", async () => {
    await offered(["get clusters ", "reconcile "]);
    expect(existsSync(join(work, "owned"))).toBe(false);
  });

  it("asks the hub that the line names, in every way to name one", async () => {
    const lines = ["--context staging get clusters ", "get clusters --context=staging ", "reconcile --context staging "];
    expect(await offered(lines)).toEqual(lines.map(() => ["staging-1"]));
    await offered(["--url http://127.0.0.1:80/x --token-file ~/t --ca-file=ca.pem get bundles "]);
    expect(readFileSync(join(bin, "asked"), "utf8")).toContain(
      `\nget bundles -o name --url=http://127.0.0.1:80/x --token-file=${folder}/t --ca-file=ca.pem\n`,
    );
  });

  it("takes no value of an option for a command or an argument", async () => {
    expect(await offered(["--context get --color never describe --url status ", "get targets -l 'env in (a, b)' "])).toEqual([
      ["bundle", "cluster", "target"],
      ["guestbook", "podinfo"],
    ]);
  });

  it("offers files for an option that takes one, folders for a checkout, and neither elsewhere", async () => {
    expect(await offered(["get clusters --token-file ", "--ca-file=c"])).toEqual([
      ["ca.pem", "checkout", "my token"],
      ["ca.pem", "checkout"],
    ]);
    const folders = ["validate ", "render --dir ", "render --dir=c"];
    expect(await offered(folders)).toEqual(folders.map(() => ["checkout"]));
    expect(await offered(["--url ", "get clusters -l ", "status "])).toEqual([[], [], []]);
  });

  it("offers nothing and says nothing while no hub answers", async () => {
    expect(await offered(["get clusters ", "get targets podinfo/", "--context "], { MUSTER_HUB: "none" })).toEqual([[], [], []]);
  });
});

describe("the completion script", () => {
  it.each(SHELLS.map((shell) => [shell, isHere(shell) ? "" : " (not installed here: nothing was completed with it)"] as const))(
    "for %s%s knows every command",
    async (shell) => {
      const { code, out } = await runMuster(["completion", shell]);
      expect(code).toBe(0);
      for (const word of ["reconcile", "get clusters", "describe target", "--selector"]) expect(out).toContain(word);
    },
  );

  it("is refused for a shell that is none", async () => expect((await runMuster(["completion", "cmd"])).code).toBe(2));
});
