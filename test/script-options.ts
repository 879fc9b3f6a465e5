import { parseArgs } from "node:util";

/** One option of a script. */
export interface ScriptOption {
  /** Name of its value, for `--help`; absent: a switch. */
  readonly value?: string;
  /** What it is if it is not given. */
  readonly default?: string;
  /** One line for `--help`. */
  readonly help: string;
}

type Values<Options extends Record<string, ScriptOption>> = {
  readonly [Name in keyof Options]: Options[Name] extends { readonly value: string }
    ? Options[Name] extends { readonly default: string }
      ? string
      : string | undefined
    : boolean;
};

/**
 * The options that a script of this repository was called with. `--help` tells them and ends the process with 0; one that there is not
 * ends it with 2. Nothing is installed or started before.
 */
export function readScriptOptions<const Options extends Record<string, ScriptOption>>(
  script: { readonly name: string; readonly about: string },
  options: Options,
): Values<Options> {
  const known = Object.entries<ScriptOption>({ ...options, help: { help: "Tells this." } });
  const parsed = Object.fromEntries(
    known.map(([name, { value, default: preset }]) => [
      name,
      { type: value === undefined ? ("boolean" as const) : ("string" as const), ...(preset !== undefined && { default: preset }) },
    ]),
  );
  let values: Record<string, unknown>;
  try {
    ({ values } = parseArgs({ options: parsed }));
  } catch (error) {
    const [first] = (error instanceof Error ? error.message : String(error)).split(/\. |\n/);
    process.stderr.write(`${script.name}: ${first}; npm run ${script.name} -- --help tells what there is\n`);
    process.exit(2);
  }
  if (values["help"]) {
    process.stdout.write(helpOf(script, known));
    process.exit(0);
  }
  return Object.fromEntries(
    Object.entries(options).map(([name, { value }]) => [name, value === undefined ? values[name] === true : values[name]]),
  ) as Values<Options>;
}

function helpOf({ name, about }: { readonly name: string; readonly about: string }, options: readonly [string, ScriptOption][]): string {
  const left = options.map(([option, { value }]) => `--${option}${value === undefined ? "" : ` ${value}`}`);
  const width = Math.max(...left.map((text) => text.length));
  const lines = options.map(
    ([, { help, default: preset }], index) =>
      `  ${left[index]?.padEnd(width)}  ${help}${preset === undefined ? "" : ` Default: ${preset}.`}`,
  );
  return `Usage: npm run ${name} [-- OPTIONS]\n\n${about}\n\n${lines.join("\n")}\n`;
}
