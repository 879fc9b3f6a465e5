import { Argument, type Command, type Option } from "commander";
import type { Cli } from "../cli.ts";
import type { Kind, Row } from "../completion-script.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;
type Shell = (typeof SHELLS)[number];

/** Not part of the description, whose lines commander would break. bash gets `eval`, because the one of macOS sources no `<(…)`. */
const HOW_TO_LOAD = `
To have it in every shell, add its line to the file:
  bash   ~/.bashrc                   eval "$(muster completion bash)"
  zsh    ~/.zshrc, after compinit    source <(muster completion zsh)
  fish   ~/.config/fish/config.fish  muster completion fish | source`;

/** What a value is, by the name of its option or argument, or as the help writes it: `<file>`. NAME goes by its command. */
const KINDS: Readonly<Record<string, Kind>> = {
  cluster: ":clusters",
  "get clusters": ":clusters",
  "get drift": ":clusters",
  "get events": ":clusters",
  "describe cluster": ":clusters",
  bundle: ":bundles",
  "get bundles": ":bundles",
  "describe bundle": ":bundles",
  "get targets": ":targets",
  context: ":contexts",
  "context use": ":contexts",
  "context set": ":contexts",
  "context delete": ":contexts",
  file: ":files",
  path: ":files",
  dir: ":dirs",
};

/** Its clusters and bundles are those of a checkout, of which the hub knows nothing. */
const OFFLINE = "render";

/** `muster completion SHELL`: a script that is made from the commands themselves. */
export function addCompletionCommand(program: Command, cli: Cli): void {
  program
    .command("completion")
    .summary("print a completion script for bash, zsh or fish")
    .description("Print a completion script for a shell. It asks the hub for the names of clusters and bundles.")
    .addArgument(new Argument("<shell>").choices([...SHELLS]))
    .addHelpText("after", HOW_TO_LOAD)
    .action(async (shell: Shell) => {
      const { completionScript } = await import("../completion-script.ts");
      cli.print(completionScript(shell, { commands: commandRows(program, ""), follows: followRows(program, "") }));
    });
}

function childrenOf(command: Command, path: string): (readonly [path: string, child: Command])[] {
  return command.commands.map((child) => [path === "" ? child.name() : `${path} ${child.name()}`, child]);
}

function commandRows(command: Command, path: string): Row[] {
  return childrenOf(command, path).flatMap(([longer, child]) => [
    { keys: [child.name(), ...child.aliases()].map((name) => `${path} ${name}`), words: [longer] },
    ...commandRows(child, longer),
  ]);
}

function followRows(command: Command, path: string): Row[] {
  const options = command.options.filter((option) => !option.hidden);
  const children = childrenOf(command, path);
  const flags = options.flatMap(({ long }) => long ?? []);
  // Options of muster itself may stand after every command.
  const isRoot = path === "";
  return [
    { keys: [`${path} 1`], words: children.map(([, child]) => child.name()) },
    ...command.registeredArguments.map((argument, index) => ({ keys: [`${path} ${index + 1}`], words: argumentWords(argument, path) })),
    { keys: [isRoot ? "options" : `${path} options`], words: isRoot ? [...flags, "--help"] : flags },
    ...options
      .filter((option) => option.required || option.optional)
      .map((option) => ({
        keys: [option.long, option.short].flatMap((flag) => (flag ? [`${isRoot ? "*" : path} ${flag}`] : [])),
        words: optionWords(option),
      })),
    ...children.flatMap(([longer, child]) => followRows(child, longer)),
  ];
}

function argumentWords(argument: Argument, path: string): readonly string[] {
  const name = argument.name() === "name" ? path : argument.name();
  return argument.argChoices ?? [(path !== OFFLINE && KINDS[name]) || ":nothing"];
}

function optionWords(option: Option): readonly string[] {
  const placeholder = /[<[](\w+)/.exec(option.flags)?.[1] ?? "";
  return option.argChoices ?? [KINDS[option.name()] ?? KINDS[placeholder] ?? ":nothing"];
}
