import type { Command } from "commander";

/** A path of commands, and what may follow it. */
interface Entry {
  /** `get clusters`; empty for `muster` itself. */
  readonly path: string;
  readonly words: readonly string[];
  /** Names to complete, as `muster get` lists them. */
  readonly names?: "clusters" | "bundles";
}

/** The names after these commands come from the hub. */
const NAMES: Readonly<Record<string, "clusters" | "bundles">> = {
  "get clusters": "clusters",
  "get drift": "clusters",
  "get events": "clusters",
  "get bundles": "bundles",
  "get targets": "bundles",
  "describe cluster": "clusters",
  "describe bundle": "bundles",
  "describe target": "bundles",
  reconcile: "clusters",
};

/** A completion script. Names of clusters and bundles are asked from the hub, silently if it is not there. */
export function completionScript(program: Command, shell: "bash" | "zsh" | "fish"): string {
  const entries = entriesOf(program, "");
  if (shell === "fish") return fishScript(entries);
  const bash = bashScript(entries);
  return shell === "bash" ? bash : `#compdef muster\nautoload -U +X bashcompinit && bashcompinit\n${bash}`;
}

function entriesOf(command: Command, path: string): Entry[] {
  const options = command.options.filter((option) => !option.hidden).flatMap((option) => option.long ?? []);
  const children = command.commands.filter((child) => child.name() !== "help");
  const names = NAMES[path];
  const own: Entry = { path, words: [...children.map((child) => child.name()), ...options, "--help"], ...(names && { names }) };
  return [own, ...children.flatMap((child) => entriesOf(child, path === "" ? child.name() : `${path} ${child.name()}`))];
}

function bashScript(entries: readonly Entry[]): string {
  const cases = entries.map(({ path, words, names }) => {
    const live = names ? `; [[ $current == -* ]] || words="$words $(_muster_names ${names})"` : "";
    return `    "${path}") words="${words.join(" ")}"${live} ;;`;
  });
  const paths = entries.map(({ path }) => `"${path}"`).join("|");
  return `# Completion of muster for bash.
_muster_names() {
  muster get "$1" -o name 2>/dev/null | sed 's|^[^/]*/||'
}
_muster() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path="" word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${path:+$path }$word" in
      ${paths}) path="\${path:+$path }$word" ;;
    esac
  done
  case "$path" in
${cases.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _muster muster`;
}

function fishScript(entries: readonly Entry[]): string {
  const lines = entries.flatMap(({ path, words, names }) => {
    const condition = `-n '__muster_at "${path}"'`;
    const commands = words.filter((word) => !word.startsWith("--"));
    const options = words.filter((word) => word.startsWith("--")).map((word) => word.slice(2));
    return [
      ...(commands.length > 0 ? [`complete -c muster -f ${condition} -a '${commands.join(" ")}'`] : []),
      ...options.map((option) => `complete -c muster ${condition} -l ${option}`),
      ...(names ? [`complete -c muster -f ${condition} -a '(__muster_names ${names})'`] : []),
    ];
  });
  return `# Completion of muster for fish.
function __muster_names
  muster get $argv[1] -o name 2>/dev/null | string replace -r '^[^/]*/' ''
end
function __muster_at
  set -l path
  for word in (commandline -opc)[2..-1]
    set -l longer (string join ' ' $path $word)
    contains -- "$longer" ${entries
      .filter(({ path }) => path !== "")
      .map(({ path }) => `'${path}'`)
      .join(" ")}; and set -a path $word
  end
  test (string join ' ' $path) = "$argv[1]"
end
${lines.join("\n")}`;
}
