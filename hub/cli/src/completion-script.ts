/** What is looked up when it is wanted: at the hub, in the configuration file, on the disk. */
export type Kind = ":clusters" | ":bundles" | ":targets" | ":contexts" | ":files" | ":dirs" | ":nothing";

/** Any of the keys gives the words, or one {@link Kind}. A key is a command, a space and a word; with `*` it is of any command. */
export interface Row {
  readonly keys: readonly string[];
  readonly words: readonly string[];
}

/** What a script knows of the commands. `muster` itself is the empty command. */
export interface CompletionTables {
  /** A word that makes the command longer, or an alias of it → the longer command: `get cl` → `get clusters`. */
  readonly commands: readonly Row[];
  /** `get 1` → what its first argument can be; `get --output` → values of that option; `get options`, and `options` of all. */
  readonly follows: readonly Row[];
}

/** A completion script. Names are asked for when they are wanted, silently if nobody answers. */
export function completionScript(shell: "bash" | "zsh" | "fish", { commands, follows }: CompletionTables): string {
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell]({ commands, follows: joinEqual(follows) });
}

function joinEqual(rows: readonly Row[]): Row[] {
  const groups = Map.groupBy(rows, ({ words }) => words.join(" "));
  groups.delete("");
  return [...groups.values()].map((group) => ({ keys: group.flatMap(({ keys }) => keys), words: group[0]?.words ?? [] }));
}

function quote(word: string): string {
  return /^[\w:-]+$/.test(word) ? word : `'${word}'`;
}

/** A function of bash and zsh. */
function caseTable(name: string, rows: readonly Row[]): string {
  const pattern = (key: string) => (key.startsWith("*") ? `*${quote(key.slice(1))}` : quote(key));
  const cases = rows.map(({ keys, words }) => `    ${keys.map(pattern).join("|")}) printf '%s\\n' ${words.map(quote).join(" ")} ;;`);
  return [`${name}() {`, "  case $1 in", ...cases, "  esac", "}"].join("\n");
}

function switchTable(name: string, rows: readonly Row[]): string {
  const cases = rows.map(({ keys, words }) => `    case ${keys.map(quote).join(" ")}; printf '%s\\n' ${words.map(quote).join(" ")}`);
  return [`function ${name}`, "  switch $argv[1]", ...cases, "  end", "end"].join("\n");
}

/** `cluster/eu-1` → `eu-1`. What does not look like a name is left out: bash puts it into the line as it is. */
const ONLY_NAMES = String.raw`sed -n 's|^[a-z]*/\([A-Za-z0-9._/-]*\)$|\1|p'`;
/** Takes the second column; the first is `*` or empty. */
const ONLY_CONTEXTS = String.raw`sed -n '2,$s|^[* ] *\([A-Za-z0-9._-]*\) .*|\1|p'`;

/** What bash and zsh share. One counts from 0, the other from 1, so nothing here has an index. */
function commonFunctions({ commands, follows }: CompletionTables): string {
  return `${caseTable("_muster_command", commands)}
${caseTable("_muster_follows", follows)}
# Reads the word at the cursor and those before it. Sets current: what was typed of the word, without --option=;
# next: what it can be, words or a :kind; hub: how to ask the hub that is meant for names.
_muster_read() {
  local word longer at="" option="" count=1
  current=$1 hub=(-o name)
  shift
  for word; do
    if [[ -n $option ]]; then
      word=$option=\${word/#\\~\\//$HOME/} option=""
    fi
    case $word in
      --*=*) [[ -z $(_muster_follows " \${word%%=*}") ]] || hub+=("$word") ;;
      -*) [[ -z $(_muster_follows "$at $word") ]] || option=$word ;;
      *)
        longer=$(_muster_command "$at $word")
        if [[ -n $longer ]]; then at=$longer; else count=$((count + 1)); fi ;;
    esac
  done
  if [[ -z $option && $current == --*=* ]]; then
    option=\${current%%=*} current=\${current#*=}
  fi
  if [[ -n $option ]]; then next=$(_muster_follows "$at $option")
  elif [[ $current == -* ]]; then next=$(_muster_follows "$at options"; _muster_follows options)
  else next=$(_muster_follows "$at $count")
  fi
}
# Prints the words, or the names of the :kind.
_muster_names() {
  case $next in
    :targets) if [[ $current == */* ]]; then _muster_get targets "\${current%%/*}"; else _muster_get bundles; fi ;;
    :clusters|:bundles) _muster_get "\${next#:}" ;;
    :contexts) muster context list 2>/dev/null | ${ONLY_CONTEXTS} ;;
    :*) ;;
    *) printf '%s\\n' "$next" ;;
  esac
}
_muster_get() {
  muster get "$@" "\${hub[@]}" 2>/dev/null | ${ONLY_NAMES}
}`;
}

function bashScript(tables: CompletionTables): string {
  return `# Completion of muster for bash.
${commonFunctions(tables)}
_muster() {
  local word current next cut="" prefix=""
  local -a words=() hub=()
  # bash cuts words at = and :, so that --url=http://x comes in five.
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD}"; do
    word=\${word//[\\"\\'\\\\]/}
    if [[ \${#words[@]} -gt 0 && ($word == [=:]* || -n $cut && -n $word) ]]; then words[\${#words[@]}-1]+=$word
    else words+=("$word")
    fi
    if [[ $word == *[=:] ]]; then cut=yes; else cut=""; fi
  done
  _muster_read "\${words[\${#words[@]}-1]}" "\${words[@]:0:\${#words[@]}-1}"
  # Without = in COMP_WORDBREAKS, the whole of --option=value is replaced.
  [[ $word != -* ]] || prefix=\${word%"$current"}
  case $next in
    # The option is for a / and no space after a folder; bash 3 does not know it.
    :files) compopt -o filenames 2>/dev/null; next=$(compgen -f -- "$current") ;;
    :dirs) compopt -o filenames 2>/dev/null; next=$(compgen -d -- "$current") ;;
    *) next=$(_muster_names) ;;
  esac
  # By hand, as compgen -W runs what stands in a word.
  COMPREPLY=()
  while IFS= read -r word; do
    [[ -z $word || $word != "$current"* ]] || COMPREPLY+=("$prefix$word")
  done <<<"$next"
}
complete -F _muster muster`;
}

function zshScript(tables: CompletionTables): string {
  return `#compdef muster
# Completion of muster for zsh.
${commonFunctions(tables)}
_muster() {
  local current next
  local -a hub
  _muster_read "$PREFIX" "\${(@Q)words[2,CURRENT-1]}"
  [[ $PREFIX == "$current" ]] || compset -P 1 '*='
  case $next in
    :files) _files ;;
    :dirs) _files -/ ;;
    *) compadd -- \${(f)"$(_muster_names)"} ;;
  esac
}
(( \${+functions[compdef]} )) || { autoload -Uz compinit && compinit -i }
# In a folder of fpath, this is read when a completion is wanted for the first time.
if [[ \${funcstack[1]} == _muster ]]; then _muster; else compdef _muster muster; fi`;
}

function fishScript({ commands, follows }: CompletionTables): string {
  return `# Completion of muster for fish.
${switchTable("__muster_command", commands)}
${switchTable("__muster_follows", follows)}
function __muster_get
  muster get $argv 2>/dev/null | ${ONLY_NAMES}
end
function __muster_complete
  set -l current (commandline -ct)
  set -l typed (commandline -opc)
  set -l at ''; set -l option ''; set -l count 1; set -l prefix ''; set -l hub -o name
  for word in $typed[2..-1]
    if test -n "$option"
      set word "$option="(string replace -r '^~/' "$HOME/" -- $word); set option ''
    end
    switch $word
      case '--*=*'
        __muster_follows ' '(string replace -r '=.*' '' -- $word) | string length -q; and set -a hub $word
      case '-*'
        __muster_follows "$at $word" | string length -q; and set option $word
      case '*'
        set -l longer (__muster_command "$at $word")
        test -n "$longer"; and set at $longer; or set count (math $count + 1)
    end
  end
  if test -z "$option"; and string match -q -- '--*=*' $current
    set option (string replace -r '=.*' '' -- $current); set prefix $option=
    set current (string replace -- $prefix '' $current)
  end
  set -l next (__muster_follows "$at $count")
  if test -n "$option"
    set next (__muster_follows "$at $option")
  else if string match -q -- '-*' $current
    set next (__muster_follows "$at options") (__muster_follows options)
  end
  switch "$next"
    case :targets
      set -l bundle (string split / -- $current)
      if set -q bundle[2]; set next (__muster_get targets $bundle[1] $hub); else; set next (__muster_get bundles $hub); end
    case :clusters :bundles; set next (__muster_get (string trim -c : $next) $hub)
    case :contexts; set next (muster context list 2>/dev/null | ${ONLY_CONTEXTS})
    # A command that fish knows nothing of gets files.
    case :files; set next (complete -C "'' $current")
    case :dirs; set next (complete -C "'' $current" | string match '*/')
    case :nothing; set next
  end
  for word in $next
    printf '%s\\n' $prefix$word
  end
end
complete -c muster -f -a '(__muster_complete)'`;
}
