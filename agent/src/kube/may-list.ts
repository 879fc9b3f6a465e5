import { isJsonObject, type JsonValue } from "@muster/shared/model";
import type { ResourceType } from "./cluster.ts";

/**
 * Which types the asker may list in a namespace, from the status of a SelfSubjectRulesReview. What the API server does not know for sure
 * (another authorizer than RBAC decides, too) may be tried.
 */
export function readListRights(status: JsonValue | undefined): (type: ResourceType) => boolean {
  const rules = isJsonObject(status) && Array.isArray(status["resourceRules"]) ? status["resourceRules"].filter(isJsonObject) : [];
  if (!isJsonObject(status) || status["incomplete"] === true) return () => true;
  const has = (list: JsonValue | undefined, word: string) => Array.isArray(list) && (list.includes(word) || list.includes("*"));
  return (type) =>
    rules.some(
      // A rule for names only does not cover a list.
      ({ verbs, apiGroups, resources, resourceNames }) =>
        has(verbs, "list") &&
        has(apiGroups, type.group) &&
        has(resources, type.plural) &&
        !(Array.isArray(resourceNames) && resourceNames.length > 0),
    );
}
