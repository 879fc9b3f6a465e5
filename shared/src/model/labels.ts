/** Labels as Kubernetes has them: keys and values are strings. */
export type Labels = Readonly<Record<string, string>>;

/** The operators of a `matchExpressions` entry (Kubernetes LabelSelectorOperator). */
export const SelectorOperator = {
  /** The label exists and its value is one of `values`. */
  In: "In",
  /** The label does not exist, or its value is none of `values`. */
  NotIn: "NotIn",
  /** The label exists. */
  Exists: "Exists",
  /** The label does not exist. */
  DoesNotExist: "DoesNotExist",
} as const;
export type SelectorOperator = (typeof SelectorOperator)[keyof typeof SelectorOperator];

/** One requirement of a selector. */
export interface SelectorRequirement {
  readonly key: string;
  readonly operator: SelectorOperator;
  /** Not empty for In and NotIn; empty for the other two. */
  readonly values?: readonly string[];
}

/** A label selector; all of its parts must hold. */
export interface LabelSelector {
  readonly matchLabels?: Labels;
  readonly matchExpressions?: readonly SelectorRequirement[];
}

/** True if a selector has no requirement. Kubernetes lets such a one match everything; Muster refuses it where it is written. */
export function isEmptySelector(selector: LabelSelector): boolean {
  return Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions ?? []).length === 0;
}

/**
 * Evaluates a selector as `metav1.LabelSelectorAsSelector` does: all requirements must hold, and NotIn also matches when
 * the label is absent. An empty selector matches everything, as in Kubernetes; callers refuse it before.
 */
export function matchesSelector(selector: LabelSelector, labels: Labels): boolean {
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    if (!Object.hasOwn(labels, key) || labels[key] !== value) return false;
  }
  return (selector.matchExpressions ?? []).every((requirement) => matchesRequirement(requirement, labels));
}

function matchesRequirement(requirement: SelectorRequirement, labels: Labels): boolean {
  const exists = Object.hasOwn(labels, requirement.key);
  const value = labels[requirement.key];
  const listed = exists && value !== undefined && (requirement.values ?? []).includes(value);
  switch (requirement.operator) {
    case SelectorOperator.In:
      return listed;
    case SelectorOperator.NotIn:
      return !listed;
    case SelectorOperator.Exists:
      return exists;
    case SelectorOperator.DoesNotExist:
      return !exists;
  }
}
