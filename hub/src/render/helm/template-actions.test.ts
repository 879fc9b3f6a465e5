import { describe, expect, it } from "vitest";
import { withKeysAscending, withKeysDescending } from "./other-order.ts";
import { withOtherTime } from "./other-time.ts";
import { actionsOf, mapActions } from "./template-actions.ts";

describe("actions of a template", () => {
  it("are found with what is around them, comments left out", () => {
    const text = "a {{ .b }} c {{- d -}}{{/* e }} f {{- /* g */ -}}\n{{\nh\n}} {{ i";
    expect(actionsOf(text)).toEqual(["{{ .b }}", "{{- d -}}", "{{\nh\n}}"]);
    expect(mapActions(text, () => "X")).toBe("a X c X{{/* e }} f {{- /* g */ -}}\nX {{ i");
  });
  it.each([
    ["that never end", "{{".repeat(500_000)],
    ["of calls only", `{{ ${"keys ".repeat(200_000)} }}`],
    ["of quotes only", `{{ ${'"{{'.repeat(200_000)} }}`],
    ["of open texts", `{{ ${"`".repeat(200_001)} now }}`],
    ["of brackets only", `{{ ${"(".repeat(300_000)}${")".repeat(300_000)} }}`],
  ])("cost no more than their length, also those %s", (_, text) => {
    const started = performance.now();
    const inputs = new Map([["input/a", text]]);
    actionsOf(text);
    withKeysDescending(inputs);
    withOtherTime(inputs, 0);
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});

describe("lists of a map's entries in another order", () => {
  const changed = (make: typeof withKeysAscending, text: string) => make(new Map([["input/a", text]])).inputs.get("input/a");
  it.each([
    ["{{ keys .x }}", "{{ keys .x | sortAlpha | reverse }}"],
    ["{{-keys .x-}}", "{{-keys .x | sortAlpha | reverse-}}"],
    ["{{- range $k := keys .x  -}}", "{{- range $k := keys .x | sortAlpha | reverse  -}}"],
    ['{{ keys .x | join "|" }}', '{{ keys .x | sortAlpha | reverse | join "|" }}'],
    ['{{ .x | keys | join ")" }}', '{{ .x | keys | sortAlpha | reverse | join ")" }}'],
    ["{{ len (keys (.x | default dict)) }}", "{{ len (keys (.x | default dict) | sortAlpha | reverse) }}"],
    ["{{ first (values .x) }}", "{{ first (values .x | reverse) }}"],
    ["{{ keys (dict (first (keys .a)) 1) }}", "{{ keys (dict (first (keys .a | sortAlpha | reverse)) 1) | sortAlpha | reverse }}"],
  ])("%s becomes %s", (text, expected) => {
    expect(changed(withKeysDescending, text)).toBe(expected);
    expect(changed(withKeysAscending, text)).toBe(expected.replaceAll(" | reverse", ""));
    expect(withKeysDescending(new Map()).restore(expected)).toBe(text);
  });
  it.each(["{{ .Values.keys }}", "{{ $values }}", '{{ dict "keys" 1 }}', "{{ tplvalues }}", "{{/* keys */}}", "keys", '{{ "a keys b" }}'])(
    "%s stays as it is",
    (text) => {
      expect(changed(withKeysDescending, text)).toBe(text);
    },
  );
});
