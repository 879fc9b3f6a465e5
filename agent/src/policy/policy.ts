import { CodedError } from "@muster/shared/errors";
import { describeObjectRef, isJsonObject, type Manifest, type ObjectRef } from "@muster/shared/model";
import { z } from "zod";

const patterns = (fallback: readonly string[]) => z.array(z.string().min(1)).default([...fallback]);

/** What this cluster lets its agent do, whatever a slice says. It stands in the chart's values and never in Git. */
const SCHEMA = z.strictObject({
  /** Namespaces, `*` for any text. What is denied is denied though it is allowed too. */
  namespaces: z.strictObject({ allow: patterns(["*"]), deny: patterns([]) }).prefault({}),
  /** Kinds as `Kind.group`, or `Kind` for the core group; `*` for any text. */
  kinds: z.strictObject({ allow: patterns(["*"]), deny: patterns([]) }).prefault({}),
  /** Objects that a slice may have. 0: any number. */
  maxObjects: z.int().min(0).default(0),
  /** Deletions in a window, and its length in minutes. 0: any number. */
  deletions: z.strictObject({ max: z.int().min(0).default(0), windowMinutes: z.int().min(1).max(10_080).default(60) }).prefault({}),
  /** Whether labels `pod-security.kubernetes.io/*` of namespaces may be set: with them, Pod Security can be switched off. */
  podSecurityLabels: z.boolean().default(false),
});

/** What a cluster lets its agent do. */
export interface AgentPolicy {
  readonly maxObjects: number;
  readonly deletions: { readonly max: number; readonly windowMinutes: number };
  readonly podSecurityLabels: boolean;
  /** Throws POLICY_FORBIDDEN. */
  check(ref: ObjectRef, manifest?: Manifest): void;
}

/** Labels of a namespace by which Pod Security is set. */
export function podSecurityLabels(manifest: Manifest | undefined): string {
  const labels = manifest?.metadata["labels"];
  const own = isJsonObject(labels) ? Object.entries(labels).filter(([label]) => label.startsWith(POD_SECURITY)) : [];
  return JSON.stringify(own.sort(([a], [b]) => (a < b ? -1 : 1)));
}

const POD_SECURITY = "pod-security.kubernetes.io/";

/**
 * Reads a policy. Throws CONFIG_INVALID: a policy that cannot be read is never taken for one that allows everything.
 *
 * @param ownNamespace the agent's: whatever stands in it, this policy among the rest, is nobody's to change
 */
export function parsePolicy(value: unknown, ownNamespace?: string): AgentPolicy {
  const result = SCHEMA.safeParse(value);
  if (!result.success) {
    const issues = result.error.issues.map((issue) => `${issue.path.join(".") || "the policy"}: ${issue.message}`);
    throw new CodedError("CONFIG_INVALID", `MUSTER_POLICY_FILE: ${issues.join("; ")}`);
  }
  const { namespaces, kinds, maxObjects, deletions, podSecurityLabels: podSecurity } = result.data;
  const [mayNamespace, mayKind] = [rule(namespaces), rule(kinds)];
  // Where only some namespaces are open, what stands in none reaches all of them: it must be named.
  const isOpen = namespaces.allow.includes("*");
  const isNamed = rule({ allow: kinds.allow.filter((pattern) => pattern !== "*"), deny: [] });
  return {
    maxObjects,
    deletions,
    podSecurityLabels: podSecurity,
    check(ref, manifest) {
      const refuse = (why: string): never => {
        throw new CodedError("POLICY_FORBIDDEN", `${describeObjectRef(ref)}: this cluster's policy for its agent ${why}`);
      };
      const kind = ref.group === "" ? ref.kind : `${ref.kind}.${ref.group}`;
      if (!mayKind(kind)) refuse(`does not allow the kind ${kind} (policy.kinds)`);
      const isNamespace = ref.kind === "Namespace" && ref.group === "";
      const namespace = isNamespace ? ref.name : ref.namespace;
      if (namespace !== "" && namespace === ownNamespace) refuse("lets nobody change what is in the agent's own namespace");
      if (namespace !== "" && !mayNamespace(namespace)) refuse(`does not allow the namespace ${namespace} (policy.namespaces)`);
      if (namespace === "" && !isOpen && !isNamed(kind))
        refuse(
          `must name the kind ${kind}, which stands in no namespace (policy.kinds.allow), since it opens only some (policy.namespaces)`,
        );
      // With an owner that there is not, garbage collection deletes an object, and nobody counts it.
      if (manifest?.metadata["ownerReferences"] !== undefined)
        refuse("lets no slice say whom an object belongs to (metadata.ownerReferences)");
      if (isNamespace && !podSecurity && podSecurityLabels(manifest) !== "[]")
        refuse(`does not let it set ${POD_SECURITY}* labels (policy.podSecurityLabels)`);
    },
  };
}

/** Allows everything that the agent's own roles do. */
export const OPEN_POLICY: AgentPolicy = parsePolicy({ podSecurityLabels: true });

function rule({ allow, deny }: { readonly allow: readonly string[]; readonly deny: readonly string[] }): (text: string) => boolean {
  const [allowed, denied] = [allow.map(glob), deny.map(glob)];
  return (text) => allowed.some((matches) => matches(text)) && !denied.some((matches) => matches(text));
}

/** `*` stands for any text; everything else for itself. Split by hand: a pattern of a person becomes no regular expression. */
function glob(pattern: string): (text: string) => boolean {
  const [first = "", ...rest] = pattern.split("*");
  const last = rest.pop();
  return (text) => {
    if (last === undefined) return text === first;
    if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false;
    let at = first.length;
    for (const part of rest) {
      const found = text.indexOf(part, at);
      if (found < 0 || found + part.length > text.length - last.length) return false;
      at = found + part.length;
    }
    return true;
  };
}
