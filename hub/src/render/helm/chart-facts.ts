import { gunzipSync } from "node:zlib";
import { CodedError } from "@muster/shared/errors";
import type { BundleFiles } from "../bundle/bundle-files.ts";

/** Bytes of an unpacked dependency that are looked at. */
const MAX_ARCHIVE_BYTES = 64 * 1024 * 1024;

/**
 * What a look at a chart's text says about it. Only text between `{{` and `}}` counts for functions. A false yes costs a
 * second render; a false no needs a template that builds a function's name.
 */
export interface ChartFacts {
  /** Renders depend on the cluster's version or APIs; if not, all clusters share one. */
  readonly usesCapabilities: boolean;
  /** Two renders may differ. */
  readonly usesRandom: boolean;
  /** Two renders may differ once a second has passed. */
  readonly usesTime: boolean;
  /** Templates that ask the cluster, which a render never reaches. */
  readonly lookups: readonly string[];
}

const ACTION = /\{\{.*?\}\}/gs;
const RANDOM = /\b(?:rand\w*|gen(?:CA|SelfSigned|Signed|PrivateKey)\w*|uuidv4|htpasswd|bcrypt|shuffle|encryptAES)\b/;
const TIME = /\b(?:now|ago|date|dateInZone|date_in_zone|htmlDate|htmlDateInZone)\b/;
const LOOKUP = /\blookup\b/;
const NOT_TEXT = /\.(?:png|jpe?g|gif|svg|ico|pdf|md)$/i;

/** JSON schema references that are followed: anything but one into the same document or to a draft that helm carries. */
const SCHEMA_REFERENCE = /"\$(?:ref|schema|dynamicRef|recursiveRef)"\s*:\s*"(?!#)(?!https?:\/\/json-schema\.org\/)([^"]+)"/;

/** Looks at all files of a chart. Throws RENDER_REMOTE for a values schema that refers to something outside of itself. */
export function chartFacts(contents: ReadonlyMap<string, Uint8Array>, files: BundleFiles): ChartFacts {
  const facts = { usesCapabilities: false, usesRandom: false, usesTime: false, lookups: [] as string[] };
  for (const [path, content] of contents) {
    if (NOT_TEXT.test(path)) continue;
    const isArchive = /\.(?:tgz|tar\.gz)$/.test(path);
    const text = isArchive ? unpacked(content) : Buffer.from(content).toString("latin1");
    if (text === undefined) {
      facts.usesCapabilities = facts.usesRandom = true;
      continue;
    }
    if (isArchive || path.endsWith("values.schema.json")) {
      const reference = SCHEMA_REFERENCE.exec(text)?.[1];
      if (reference)
        throw new CodedError("RENDER_REMOTE", `A values schema refers to ${JSON.stringify(reference)}, which is not in the same file`, {
          at: files.position(path),
        });
    }
    const actions = (text.match(ACTION) ?? []).join("\n");
    facts.usesCapabilities ||= actions.includes("Capabilities") || /^kubeVersion:/m.test(text);
    facts.usesRandom ||= RANDOM.test(actions);
    facts.usesTime ||= TIME.test(actions);
    if (LOOKUP.test(actions)) facts.lookups.push(path);
  }
  return facts;
}

/** What the texts of values call, for charts that evaluate values with `tpl`. */
export function valuesFacts(values: string): ChartFacts {
  const actions = (values.match(ACTION) ?? []).join("\n");
  return {
    usesCapabilities: actions.includes("Capabilities"),
    usesRandom: RANDOM.test(actions),
    usesTime: TIME.test(actions),
    lookups: [],
  };
}

/** What holds for a chart together with its values. */
export function joinFacts(all: readonly ChartFacts[]): ChartFacts {
  return {
    usesCapabilities: all.some((facts) => facts.usesCapabilities),
    usesRandom: all.some((facts) => facts.usesRandom),
    usesTime: all.some((facts) => facts.usesTime),
    lookups: all.flatMap((facts) => facts.lookups),
  };
}

/** A tar file as text; undefined if it cannot be unpacked, which helm then says itself. */
function unpacked(content: Uint8Array): string | undefined {
  try {
    return gunzipSync(content, { maxOutputLength: MAX_ARCHIVE_BYTES }).toString("latin1");
  } catch {
    return undefined;
  }
}
