import { describe, expect, it } from "vitest";
import { OPEN_POLICY, parsePolicy } from "./policy.ts";

const ref = (kind: string, namespace = "", name = "x", group = "") => ({ group, kind, namespace, name });
const refusal = { code: "POLICY_FORBIDDEN" };

/** What a policy refuses, by the code of its error. */
function refused(policy: unknown, ...[object, manifest]: Parameters<ReturnType<typeof parsePolicy>["check"]>): boolean {
  try {
    parsePolicy(policy).check(object, manifest);
    return false;
  } catch (error) {
    expect(error).toMatchObject(refusal);
    return true;
  }
}

describe("a policy", () => {
  it("that says nothing allows every kind and namespace, but no labels of Pod Security", () => {
    expect(refused({}, ref("Secret", "web"))).toBe(false);
    const labels = { "pod-security.kubernetes.io/enforce": "privileged" };
    const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: "web", labels } };
    expect(refused({}, ref("Namespace", "", "web"), namespace)).toBe(true);
    expect(refused({ podSecurityLabels: true }, ref("Namespace", "", "web"), namespace)).toBe(false);
    expect(() => OPEN_POLICY.check(ref("Namespace", "", "web"), namespace)).not.toThrow();
  });

  it("is about namespaces by what is in them and by themselves; what is denied is denied though it is allowed", () => {
    const policy = { namespaces: { allow: ["team-*", "web"], deny: ["team-secret", "*-prod"] } };
    const namespaces = ["web", "team-a", "team-", "team", "webs", "team-secret", "team-prod", "kube-system"];
    expect(namespaces.filter((name) => !refused(policy, ref("ConfigMap", name)))).toEqual(["web", "team-a", "team-"]);
    expect(namespaces.filter((name) => !refused(policy, ref("Namespace", "", name)))).toEqual(["web", "team-a", "team-"]);
    // What stands in no namespace reaches all of them: where only some are open, it must be named.
    const role = ref("ClusterRole", "", "x", "rbac.authorization.k8s.io");
    expect(refused(policy, role)).toBe(true);
    expect(refused({ ...policy, kinds: { allow: ["*", "*.rbac.authorization.k8s.io"] } }, role)).toBe(false);
    expect(refused({}, role)).toBe(false);
    // A kind of that name in another group is none.
    const other = { ...policy, kinds: { allow: ["*", "*.example.com"] } };
    expect(refused(other, ref("Namespace", "", "kube-system", "example.com"))).toBe(false);
  });

  it("never opens the agent's own namespace, in which it stands itself", () => {
    const policy = parsePolicy({ namespaces: { allow: ["*"] }, podSecurityLabels: true }, "muster-agent");
    for (const object of [
      ref("ConfigMap", "muster-agent"),
      ref("Deployment", "muster-agent", "x", "apps"),
      ref("Namespace", "", "muster-agent"),
    ])
      expect(() => policy.check(object)).toThrow(expect.objectContaining(refusal));
    expect(() => policy.check(ref("ConfigMap", "web"))).not.toThrow();
  });

  it("lets no slice say whom an object belongs to: with an owner that there is not, it would be deleted and not counted", () => {
    const metadata = { name: "x", namespace: "web", ownerReferences: [{ apiVersion: "v1", kind: "ConfigMap", name: "none", uid: "none" }] };
    expect(refused({}, ref("ConfigMap", "web"), { apiVersion: "v1", kind: "ConfigMap", metadata })).toBe(true);
  });

  it("is about kinds with their group, so that no other group's kind of that name slips through or is caught", () => {
    const policy = {
      kinds: { allow: ["*"], deny: ["Node", "*.admissionregistration.k8s.io", "CertificateSigningRequest.certificates.k8s.io"] },
    };
    expect(refused(policy, ref("Node"))).toBe(true);
    expect(refused(policy, ref("Node", "", "x", "example.com"))).toBe(false);
    expect(refused(policy, ref("MutatingWebhookConfiguration", "", "x", "admissionregistration.k8s.io"))).toBe(true);
    expect(refused(policy, ref("Widget", "", "x", "admissionregistration.k8s.io.example.com"))).toBe(false);
    const only = { kinds: { allow: ["ConfigMap", "Deployment.apps"] } };
    expect(refused(only, ref("ConfigMap", "web"))).toBe(false);
    expect(refused(only, ref("Deployment", "web", "x", "apps"))).toBe(false);
    expect(refused(only, ref("Secret", "web"))).toBe(true);
    expect(refused(only, ref("ConfigMap", "web", "x", "example.com"))).toBe(true);
  });

  it.each([
    ["a*b*c", ["abc", "aXbYc", "abbc"], ["ab", "acb", "abcd", "xabc"]],
    ["*", ["", "a", "a.b"], []],
    ["a*a", ["aa", "aba"], ["a", "ab"]],
    ["a.b", ["a.b"], ["aXb", "a.bc"]],
    ["**x", ["x", "ax"], ["xa"]],
  ])("takes %s as a person means it", (pattern, matching, others) => {
    const allows = (name: string) => !refused({ kinds: { allow: [pattern] } }, ref(name));
    expect([matching.filter(allows), others.filter(allows)]).toEqual([matching, []]);
  });

  it.each([
    ["an unknown key", { namespace: {} }],
    ["a list that is none", { namespaces: { allow: "web" } }],
    ["a negative number", { maxObjects: -1 }],
    ["nothing", null],
  ])("with %s stops the agent, and is never taken for one that allows everything", (_, value) => {
    expect(() => parsePolicy(value)).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
  });
});
