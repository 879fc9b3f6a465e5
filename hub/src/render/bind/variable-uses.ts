import { CodedError, type InputPosition } from "@muster/shared/errors";
import { isJsonObject, type JsonObject, type JsonValue } from "@muster/shared/model";
import type { Target, Variables, VariableValue } from "../../fleet/model.ts";
import { describeLoosely } from "./check-object.ts";
import { describeExpressionError, ExpressionError } from "./expression.ts";
import { collectNames } from "./substitute.ts";

/** Annotation or label: `disabled` leaves an object alone, `enabled` fills in the variables of a CRD too. */
const SUBSTITUTE = "muster.dev/substitute";

/** The variables of a target. Precedence: bundle, then layers in their order, then the cluster. */
export function variablesOf(target: Target): Variables {
  const merged = new Map<string, VariableValue>();
  for (const variables of [target.bundle.variables, ...target.layers.map((layer) => layer.variables), target.cluster.variables]) {
    for (const [name, value] of Object.entries(variables)) merged.set(name, value);
  }
  return Object.fromEntries(merged);
}

const usesByObject = new WeakMap<JsonObject, readonly string[]>();

/** Names of the variables that an object refers to, sorted; none if it is left alone. Throws VARIABLE_SYNTAX, OBJECT_INVALID. */
export function variableUses(object: JsonObject, at: InputPosition): readonly string[] {
  let uses = usesByObject.get(object);
  if (!uses) {
    requireKnownChoice(object, at);
    uses = isLeftAlone(object) ? [] : scan(object, at);
    usesByObject.set(object, uses);
  }
  return uses;
}

/** CRDs hold `${…}` in descriptions and patterns; nobody means a variable there, unless it says so (E058). */
export function isLeftAlone(object: JsonObject): boolean {
  const choices = choicesOf(object);
  if (choices.includes("disabled")) return true;
  return object["kind"] === "CustomResourceDefinition" && !choices.includes("enabled");
}

function choicesOf({ metadata }: JsonObject): JsonValue[] {
  if (!isJsonObject(metadata)) return [];
  return [metadata["annotations"], metadata["labels"]].flatMap((map) => (isJsonObject(map) ? (map[SUBSTITUTE] ?? []) : []));
}

/** A choice with a slip in it must not be the other choice. */
function requireKnownChoice(object: JsonObject, at: InputPosition): void {
  const unknown = choicesOf(object).find((choice) => choice !== "enabled" && choice !== "disabled");
  if (unknown === undefined) return;
  const why = `has ${JSON.stringify(unknown).slice(0, 80)} in ${SUBSTITUTE}, which takes "enabled" or "disabled"`;
  throw new CodedError("OBJECT_INVALID", `${describeLoosely(object)} ${why}`, { at });
}

function scan(object: JsonObject, at: InputPosition): readonly string[] {
  const names = new Set<string>();
  try {
    collectNames(object, names);
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    const why = describeExpressionError(error, object, object["kind"] !== "Secret");
    throw new CodedError("VARIABLE_SYNTAX", `${describeLoosely(object)}: ${why}`, { at });
  }
  return [...names].sort();
}

/** Text that is equal only for equal values (and types) of the named variables. */
export function valuesKey(names: readonly string[], variables: Variables): string {
  return names.length === 0 ? "" : JSON.stringify(names.map((name) => (Object.hasOwn(variables, name) ? [variables[name]] : name)));
}

/** A variable without value, and where it stands. */
export interface UnsetVariable {
  readonly name: string;
  readonly at: InputPosition;
  /** What refers to it: an object or a field. */
  readonly user: string;
}

/** One error that names every variable without value, so that a person does not find them one push at a time. */
export function unsetError(unset: readonly UnsetVariable[], cluster: string): CodedError {
  const names = [...new Set(unset.map(({ name }) => name))].sort();
  const shown = unset
    .slice(0, 20)
    .map(({ name, at, user }) => `${name} (${at.file}${at.line === undefined ? "" : `:${at.line}`}, ${user})`);
  const more = unset.length > shown.length ? ` and ${unset.length - shown.length} more` : "";
  const which = names.length === 1 ? "A variable has" : `${names.length} variables have`;
  return new CodedError("VARIABLE_UNSET", `${which} no value for cluster ${cluster}: ${shown.join(", ")}${more}`, {
    ...(unset[0] && { at: unset[0].at }),
    data: { variables: names },
  });
}
