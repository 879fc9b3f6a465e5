import type { Manifest } from "@muster/shared/model";
import { ADMISSION_GROUP } from "../../kube/admission.ts";

/** A policy that refuses whatever one user asks for, of any kind, and its binding. */
export function refuseAll(name: string, user: string, expression = "false"): Manifest[] {
  const rules = [{ apiGroups: ["*"], apiVersions: ["*"], operations: ["CREATE", "UPDATE", "DELETE"], resources: ["*"] }];
  return [
    {
      apiVersion: `${ADMISSION_GROUP}/v1`,
      kind: "ValidatingAdmissionPolicy",
      metadata: { name },
      spec: {
        matchConstraints: { resourceRules: rules },
        matchConditions: [{ name: "who", expression: `request.userInfo.username == '${user}'` }],
        validations: [{ expression, message: "nothing is allowed here" }],
      },
    },
    {
      apiVersion: `${ADMISSION_GROUP}/v1`,
      kind: "ValidatingAdmissionPolicyBinding",
      metadata: { name },
      spec: { policyName: name, validationActions: ["Deny"] },
    },
  ];
}
