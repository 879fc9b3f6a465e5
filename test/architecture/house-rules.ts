/** A source file as the rules see it. */
export interface SourceFile {
  /** From the root of the checkout, with slashes. */
  readonly path: string;
  readonly text: string;
}

/** A rule about the text of a file that neither the type checker, nor the linter, nor the dependency rules can hold. */
export interface HouseRule {
  readonly name: string;
  readonly reason: string;
  /** Files that it holds for. */
  readonly files: RegExp;
  /** Files that it spares. */
  readonly except?: RegExp;
  /** What must not stand in code (comments are not code). */
  readonly forbidden: RegExp;
}

/** A broken house rule. */
export interface Breach {
  readonly rule: string;
  readonly reason: string;
  readonly path: string;
  /** From 1. */
  readonly line: number;
  readonly found: string;
}

const MAX_LINES = 400;
const TEST = /\.test\.ts$|^test\//;
const PURE = /^(shared\/src\/(model|wire)|hub\/src\/(fleet|release)|agent\/src\/plan)\//;
const PRODUCTION = /^(shared|hub|agent)\//;

export const HOUSE_RULES: readonly HouseRule[] = [
  {
    name: "pure-no-clock",
    reason: "Pure folders take the time as an argument: equal inputs give equal outputs.",
    files: PURE,
    except: TEST,
    forbidden: /\bDate\.now\b|\bnew Date\(\)|\bperformance\.|\bset(Timeout|Immediate|Interval)\b|\bprocess\.(hrtime|uptime)\b/,
  },
  {
    name: "pure-no-chance",
    reason: "Pure folders take chance as an argument, so that a failure can be played again.",
    files: PURE,
    except: TEST,
    forbidden: /\bMath\.random\b|\brandom(UUID|Bytes|Int|FillSync)\b|\bgetRandomValues\b/,
  },
  {
    name: "pure-no-outside",
    reason: "Pure folders neither read the environment nor write to a terminal or a network.",
    files: PURE,
    except: TEST,
    forbidden: /\bprocess\.(env|std|cwd|argv|exit)|\bconsole\.|\bfetch\(/,
  },
  {
    name: "no-set-interval",
    reason: "An interval goes on when its work takes longer than it; loops are `for (;;) { …; await clock.sleep(ms, signal) }`.",
    files: PRODUCTION,
    forbidden: /\bsetInterval\b/,
  },
  {
    name: "no-shell",
    reason: "A shell makes code of what people write in Git. Programs are started by `spawn` or `execFile` with an argument list.",
    files: PRODUCTION,
    forbidden: /\bexec(Sync)?\b[^;\n]*from "node:child_process"|\bshell:\s*true\b/,
  },
  {
    name: "no-tls-bypass",
    reason: "There is no insecure mode: who is trusted is configured, never skipped.",
    files: /\.ts$/,
    except: /^test\/architecture\//,
    forbidden: /rejectUnauthorized:\s*false|NODE_TLS_REJECT_UNAUTHORIZED|insecure-skip-tls-verify/,
  },
  {
    name: "no-type-escape",
    reason: "A silenced type error is a bug with a delay. `@ts-expect-error` belongs into type tests only.",
    files: PRODUCTION,
    except: TEST,
    forbidden: /@ts-(ignore|expect-error|nocheck)/,
  },
  {
    name: "environment-in-config",
    reason:
      "Settings come in through config.ts, where each has a name, a default and a check. (The renderer's sandbox reads it to scrub it.)",
    files: PRODUCTION,
    except: /\.test\.ts$|\/src\/(main|config)\.ts$|^hub\/cli\/|^hub\/src\/render\/sandbox\//,
    forbidden: /\bprocess\.env\b/,
  },
  {
    name: "chance-from-runtime",
    reason: "Chance is an argument (`random?: () => number`, whose default may be Math.random); names and secrets come from node:crypto.",
    files: PRODUCTION,
    except: /\.test\.ts$|^shared\/src\/runtime\//,
    forbidden: /\bMath\.random\(/,
  },
];

/** Checks the text rules, the length of files, and that hub and agent have no barrels. */
export function checkHouseRules(files: readonly SourceFile[]): Breach[] {
  return files.flatMap((file) => [...checkShape(file), ...HOUSE_RULES.flatMap((rule) => checkText(rule, file))]);
}

function checkShape({ path, text }: SourceFile): Breach[] {
  const breaches: Breach[] = [];
  const lines = text.split("\n").length - 1;
  if (lines > MAX_LINES) {
    const reason = `A file has one concept; above ${MAX_LINES} lines it has several.`;
    breaches.push({ rule: "file-length", reason, path, line: MAX_LINES + 1, found: `${lines} lines` });
  }
  if (/^(hub|agent)\/.*\/index\.ts$/.test(path)) {
    const reason = "Inside a side, files are imported directly: a barrel loads everything and hides who needs what.";
    breaches.push({ rule: "no-barrels", reason, path, line: 1, found: "index.ts" });
  }
  return breaches;
}

function checkText(rule: HouseRule, file: SourceFile): Breach[] {
  if (!rule.files.test(file.path) || rule.except?.test(file.path)) return [];
  // The escapes of the type checker are themselves comments.
  const code = rule.name === "no-type-escape" ? file.text : withoutComments(file.text);
  return code.split("\n").flatMap((text, index) => {
    const found = rule.forbidden.exec(text)?.[0];
    return found === undefined ? [] : [{ rule: rule.name, reason: rule.reason, path: file.path, line: index + 1, found }];
  });
}

/** Keeps the line breaks, so that line numbers stay right. */
function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, (comment) => comment.replaceAll(/[^\n]/g, "")).replaceAll(/(^|\s)\/\/.*$/gm, "");
}
