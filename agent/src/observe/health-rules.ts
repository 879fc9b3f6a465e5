import { CodedError, formatError } from "@muster/shared/errors";
import type { Expression } from "@muster/shared/expression";
import { Health, isJsonObject, type Manifest, splitApiVersion } from "@muster/shared/model";

/** What is found of one object, with a sentence for people. */
export interface HealthResult {
  readonly health: Health;
  readonly message: string;
}

/** A rule that says what makes objects of a kind healthy, ready to be asked. */
export interface CompiledHealthRule {
  readonly current: Expression<boolean>;
  readonly failed?: Expression<boolean>;
  readonly message?: Expression<string>;
}

/** The rules of a bundle by `group/Kind`. In place of one that cannot be read stands why. */
export type HealthRules = ReadonlyMap<string, CompiledHealthRule | CodedError>;

/** What the rules say of an object; undefined if none is about its kind. A rule that comes to no answer never says Current. */
export function healthByRule(object: Manifest, rules: HealthRules): HealthResult | undefined {
  const rule = rules.get(`${splitApiVersion(object.apiVersion).group}/${object.kind}`);
  if (!rule) return undefined;
  if (rule instanceof CodedError) return { health: Health.Unknown, message: formatError(rule) };
  try {
    const health = rule.failed?.evaluate(object) ? Health.Failed : rule.current.evaluate(object) ? Health.Current : Health.InProgress;
    return { health, message: health === Health.Current ? "" : messageOf(rule, object, health) };
  } catch (thrown) {
    const error = CodedError.from(thrown, "EXPRESSION_FAILED");
    // Nobody has looked at the object yet: there is nothing that the rule could go by, and nothing is wrong.
    if (error.data["missing"] === "status" && !isJsonObject(object["status"]))
      return { health: Health.InProgress, message: "Waits for its controller" };
    return { health: Health.Unknown, message: formatError(error) };
  }
}

function messageOf({ message, current, failed }: CompiledHealthRule, object: Manifest, health: Health): string {
  const rule = health === Health.Failed ? failed : current;
  const fallback = `${rule?.text.replaceAll(/\s+/g, " ")} is ${health === Health.Failed}`;
  try {
    return message?.evaluate(object) || fallback;
  } catch {
    // The object's health is known; that the sentence about it fails must not hide it.
    return fallback;
  }
}
