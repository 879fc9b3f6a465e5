import { CodedError } from "@muster/shared/errors";
import type { BundleFiles } from "../bundle/bundle-files.ts";
import { isArchive, unpackedText } from "./chart-archive.ts";
import { actionsOf } from "./template-actions.ts";

/**
 * What a look at a chart's text says about it. Only text between `{{` and `}}` counts for functions. A false yes costs
 * more renders; a false no needs a template that builds a function's name.
 *
 * A chart that calls functions of chance is rendered twice, one that calls functions of time once more a second later and
 * with another `now` (other-time.ts), one that lists a map with other orders (other-order.ts); where that shows, it is refused.
 * What stays unseen: `date` and its like of something that is no date, in a format without seconds; `durationRound` of a
 * date; `values` of a map with two entries, in one of 40 cases.
 */
export interface ChartFacts {
  /** Renders depend on the cluster's version or APIs; if not, all clusters share one. */
  readonly usesCapabilities: boolean;
  /** Two renders may differ. */
  readonly usesRandom: boolean;
  /** Two renders may differ in the order of some lists, and a short list may well agree by chance. */
  readonly usesOrder: boolean;
  /** A render may depend on when it is done. */
  readonly usesTime: boolean;
  /** Files that call what renders may differ by, for messages. */
  readonly suspects: readonly string[];
  /** Templates that ask the cluster, which a render never reaches. */
  readonly lookups: readonly string[];
}

/**
 * The functions of sprig 3.3 and helm 4 whose result is not decided by their arguments; `env`, `expandenv` and
 * `getHostByName` are too, and helm has taken them away. A field (`.Values`), a variable (`$now`) or a text ("keys") is
 * no call.
 */
const call = (names: string, after = "") => new RegExp(`(?<![\\w.$"])(?:${names})\\b${after}`);
const RANDOM = call("rand\\w*|gen(?:CA|SelfSigned|Signed|PrivateKey)\\w*|uuidv4|htpasswd|bcrypt|shuffle|encryptAES");
/** Go goes through a map in another order each time. `keys $map | sortAlpha`, the usual way to write it, is fine. */
const ORDER = call("keys|values", "(?!\\.)(?![^|(){}]{0,200}\\|\\s*sortAlpha\\b)");
/** `date` and its like take now for what is no date; `durationRound` of a date counts from it to now. */
const TIME = call("now|ago|date|dateInZone|date_in_zone|htmlDate|htmlDateInZone|durationRound");
const LOOKUP = /\blookup\b/;
const NOT_TEXT = /\.(?:png|jpe?g|gif|svg|ico|pdf|md)$/i;

/** JSON schema references that are followed: anything but one into the same document or to a draft that helm carries. */
const SCHEMA_REFERENCE = /"\$(?:ref|schema|dynamicRef|recursiveRef)"\s*:\s*"(?!#)(?!https?:\/\/json-schema\.org\/)([^"]+)"/;

const NOTHING: ChartFacts = {
  usesCapabilities: false,
  usesRandom: false,
  usesOrder: false,
  usesTime: false,
  suspects: [],
  lookups: [],
};

/** Looks at all files of a chart. Throws RENDER_REMOTE for a values schema that refers to something outside of itself. */
export function chartFacts(contents: ReadonlyMap<string, Uint8Array>, files: BundleFiles): ChartFacts {
  const all = [NOTHING];
  for (const [path, content] of contents) {
    if (NOT_TEXT.test(path)) continue;
    const packed = isArchive(path);
    const text = packed ? unpackedText(content) : Buffer.from(content).toString("latin1");
    if (text === undefined) {
      all.push({ ...NOTHING, usesCapabilities: true, usesRandom: true, suspects: [path] });
      continue;
    }
    if (packed || path.endsWith("values.schema.json")) refuseReference(text, path, files);
    const facts = textFacts(text, path);
    all.push({ ...facts, usesCapabilities: facts.usesCapabilities || /^kubeVersion:/m.test(text) });
  }
  return joinFacts(all);
}

/** What the texts of values call, for charts that evaluate values with `tpl`. */
export function valuesFacts(values: string, name = "helm.values"): ChartFacts {
  return { ...textFacts(values, name), lookups: [] };
}

/** What holds for a chart together with its values. */
export function joinFacts(all: readonly ChartFacts[]): ChartFacts {
  return {
    usesCapabilities: all.some((facts) => facts.usesCapabilities),
    usesRandom: all.some((facts) => facts.usesRandom),
    usesOrder: all.some((facts) => facts.usesOrder),
    usesTime: all.some((facts) => facts.usesTime),
    suspects: all.flatMap((facts) => facts.suspects),
    lookups: all.flatMap((facts) => facts.lookups),
  };
}

function textFacts(text: string, path: string): ChartFacts {
  const actions = actionsOf(text).join("\n");
  const [usesRandom, usesOrder, usesTime] = [RANDOM.test(actions), ORDER.test(actions), TIME.test(actions)];
  return {
    usesCapabilities: actions.includes("Capabilities"),
    usesRandom,
    usesOrder,
    usesTime,
    suspects: usesRandom || usesOrder || usesTime ? [path] : [],
    lookups: LOOKUP.test(actions) ? [path] : [],
  };
}

function refuseReference(text: string, path: string, files: BundleFiles): void {
  const reference = SCHEMA_REFERENCE.exec(text)?.[1];
  if (reference === undefined) return;
  throw new CodedError("RENDER_REMOTE", `A values schema refers to ${JSON.stringify(reference)}, which is not in the same file`, {
    at: files.position(path),
  });
}
