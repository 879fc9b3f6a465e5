import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Budget } from "./budget.ts";
import { Failure } from "./failure.ts";
import { Pattern } from "./pattern.ts";

const test = (pattern: string, text: string) => new Pattern(pattern, new Budget()).test(text, new Budget());

describe("a pattern", () => {
  it.each([
    ["abc", "xabcx", true],
    ["^abc$", "xabcx", false],
    ["a|bc", "xbcx", true],
    ["^(a|bc)+$", "abcabc", true],
    ["^a{2,3}$", "aaaa", false],
    ["^a{2,}$", "aaaa", true],
    ["^a{0}b$", "b", true],
    ["^[a-c_.-]+$", "a-b_c.", true],
    ["^[^a-c]+$", "xyzb", false],
    ["^[]a]+$", "]a", true],
    ["^\\d+\\.\\w+$", "12.ab_", true],
    ["\\bweb\\b", "the web is", true],
    ["\\bweb\\b", "cobweb", false],
    ["(?i)^WEB$", "wEb", true],
    ["^(?i:W)eb$", "web", true],
    ["^(?i:W)eb$", "wEb", false],
    ["^(?P<name>a)(?<other>b)$", "ab", true],
    ["a.c", "a\nc", false],
    ["(?s)a.c", "a\nc", true],
    ["(?m)^b$", "a\nb\nc", true],
    ["^[[:alpha:]]+[[:^alpha:]]$", "abc1", true],
    ["^\\x41\\x{1F600}$", "A😀", true],
    ["^.$", "😀", true],
    ["a{,2}", "a{,2}", true],
    ["^a??b$", "ab", true],
    ["", "", true],
    ["^$", "", true],
    ["()*a", "a", true],
    ["(|a)+$", "aaa", true],
  ])("%s on %j: %s", (pattern, text, expected) => {
    expect(test(pattern, text)).toBe(expected);
  });

  it.each([
    "(",
    ")",
    "a)",
    "[a",
    "a**",
    "*a",
    "(?=a)",
    "(?!a)",
    "(?<=a)",
    "(?<!a)",
    "(a)\\1",
    "a{2,1}",
    "a{1001}",
    "\\p{L}",
    "[b-a]",
    "\\q",
    "((((a{30}){30}){30}){30})",
    "(((()*){1000}){1000}){1000}",
  ])("refuses %s", (pattern) => {
    expect(() => new Pattern(pattern, new Budget())).toThrow(Failure);
  });

  const piece: fc.Arbitrary<string> = fc.letrec((tie) => ({
    node: fc.oneof(
      { maxDepth: 3, depthSize: "small" },
      fc.constantFrom("a", "b", "c", ".", "[ab]", "[^a]", "\\w", "^", "$", "\\b"),
      fc.tuple(tie("node"), tie("node")).map(([a, b]) => `${a}${b}`),
      fc.tuple(tie("node"), tie("node")).map(([a, b]) => `(?:${a}|${b})`),
      fc.tuple(tie("node"), fc.constantFrom("*", "+", "?", "{2}", "{1,2}", "*?")).map(([a, quantifier]) => `(?:${a})${quantifier}`),
    ),
  })).node as fc.Arbitrary<string>;

  it("says the same as JavaScript's own, for what both know", () => {
    fc.assert(
      fc.property(piece, fc.array(fc.constantFrom("a", "b", "c", " "), { maxLength: 8 }), (pattern, chars) => {
        const text = chars.join("");
        expect(test(pattern, text)).toBe(new RegExp(pattern, "u").test(text));
      }),
      { numRuns: 2_000 },
    );
  });
});
