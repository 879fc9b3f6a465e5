import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CodedError } from "../errors/index.ts";
import { compilePredicate } from "./compile.ts";

/** About as large as the API server lets an object be, in every way that an object can be large. */
const OBJECT = {
  numbers: Array.from({ length: 100_000 }, (_, index) => index),
  words: Array.from({ length: 20_000 }, (_, index) => `word-${index}`),
  text: "a".repeat(1_000_000),
  wide: Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`key-${index}`, index])),
  deep: Array.from({ length: 5_000 }).reduce<unknown>((inner) => ({ next: inner }), null),
  conditions: Array.from({ length: 5_000 }, (_, index) => ({ type: `T${index}`, status: "True" })),
};

/** Of processor time, for reading and evaluating. Once the code is warm the worst of these takes about 20 ms. */
const PATIENCE_MS = 300;

function attack(text: string): string {
  const started = process.threadCpuUsage();
  let outcome: string;
  try {
    outcome = String(compilePredicate(text).evaluate(OBJECT));
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    outcome = error.code;
  }
  const { user, system } = process.threadCpuUsage(started);
  const took = (user + system) / 1_000;
  expect(took).toBeLessThan(PATIENCE_MS);
  return outcome;
}

const times = (count: number, text: string) => Array.from({ length: count }, () => text).join("");

describe("an expression that is meant to hang, or to fill the memory", () => {
  it.each([
    ["loops in loops", "object.numbers.all(a, object.numbers.all(b, object.numbers.all(c, a + b + c >= 0)))"],
    ["loops that fail for every element", "object.numbers.exists(a, object.numbers.exists(b, a.x == b.x))"],
    ["text that doubles", `["aaaaaaaa"]${times(40, ".map(x, x + x)")}[0].size() > 0`],
    ["text that doubles by names", `${times(22, "cel.bind(x, ")}"aaaa"${times(22, ", x + x)")} == "a"`],
    ["lists that double", `[object.numbers]${times(40, ".map(x, x + x)")}[0].size() > 0`],
    ["lists of lists of lists", `[1]${times(40, ".map(x, [x, x])")} == [1]${times(40, ".map(x, [x, x])")}`],
    ["equality of what is large", `object.numbers.exists(a, object.numbers == object.numbers + [a])`],
    ["a search for a large text in a large text", `(object.text + "b" + object.text).contains(object.text + "c")`],
    ["a join with a large separator", `object.words.join(object.text) == ""`],
    ["a replacement by a large text", `object.text.replace("a", object.text) == ""`],
    ["a split into characters", `object.numbers.all(x, object.text.split("").size() > 0)`],
    ["upper case again and again", `object.numbers.all(x, object.text.upperAscii() != "")`],
    ["a pattern that goes back in other engines", `(object.text + "b").matches("^(a+)+$")`],
    ["a pattern with many ways", `object.text.matches("${times(200, "a?")}${times(200, "a")}b")`],
    ["patterns anew for every element", `object.numbers.all(x, "a".matches("(a{1,400}){1,4}" + string(x)))`],
    ["a sum over all", `object.numbers.all(x, object.numbers.sum() > 0)`],
    ["a wide map among many small ones", "object.wide in object.conditions"],
    ["keys over and over", `object.wide.all(x, object.wide.all(y, x != y || object.wide.size() > 0))`],
  ])("ends by its cost: %s", (_name, text) => {
    expect(attack(text)).toBe("EXPRESSION_COST");
  });

  it("is refused if it is too deep to be read", () => {
    expect(attack(`${times(1_000, "object.numbers.all(a, ")}true${times(1_000, ")")}`)).toBe("EXPRESSION_INVALID");
    expect(attack(`${times(1_300, "[")}1`)).toBe("EXPRESSION_INVALID");
    expect(attack(`${times(2_000, "-")}1 == 1`)).toBe("EXPRESSION_INVALID");
    expect(attack(`object${times(1_300, ".a")} == 1`)).toBe("EXPRESSION_INVALID");
    expect(attack(`${times(1_000, "1+")}1 == 1`)).toBe("EXPRESSION_INVALID");
  });

  it("costs the same each time, however busy the machine is", () => {
    const outcomes = Array.from({ length: 5 }, () => attack("object.conditions.exists(c, c.type == 'T4999')"));
    expect(new Set(outcomes)).toEqual(new Set(["true"]));
  });

  const { bool } = fc.letrec<{ bool: string; value: string; list: string }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5, depthSize: "medium" },
      fc.constantFrom(
        "x",
        "object.text",
        "1",
        "1.5",
        "'a'",
        "object.wide",
        "object.deep",
        "object.numbers[7]",
        "quantity('1Gi')",
        "duration('1h')",
      ),
      fc.tuple(tie("value"), fc.constantFrom("+", "-", "*", "/", "%"), tie("value")).map(([a, op, b]) => `(${a} ${op} ${b})`),
      tie("list").map((list) => `${list}.sum()`),
      fc.tuple(tie("bool"), tie("value"), tie("value")).map(([a, b, c]) => `(${a} ? ${b} : dyn(${c}))`),
      fc.tuple(tie("value"), tie("value")).map(([a, b]) => `cel.bind(x, ${a}, ${b})`),
      fc.tuple(tie("value"), fc.constantFrom("next", "a", "status")).map(([a, key]) => `${a}.?${key}.orValue(x)`),
      fc.tuple(tie("list"), tie("value")).map(([a, b]) => `${a}.join(string(${b}))`),
    ),
    list: fc.oneof(
      { maxDepth: 5, depthSize: "medium" },
      fc.constantFrom("object.numbers", "object.words", "object.conditions", "[1, 2]", "[[x], [x]]"),
      fc.tuple(tie("list"), tie("value")).map(([a, b]) => `${a}.map(x, ${b})`),
      fc.tuple(tie("list"), tie("bool")).map(([a, b]) => `${a}.filter(x, ${b})`),
      fc.tuple(tie("list"), tie("list")).map(([a, b]) => `(${a} + ${b})`),
      fc.tuple(tie("value"), tie("value")).map(([a, b]) => `string(${a}).split(string(${b}))`),
      fc.tuple(tie("value"), tie("list")).map(([a, b]) => `[${a}, ${b}]`),
    ),
    bool: fc.oneof(
      { maxDepth: 5, depthSize: "medium" },
      fc.constant("true"),
      fc.tuple(tie("value"), fc.constantFrom("==", "<", ">=", "!="), tie("value")).map(([a, op, b]) => `dyn(${a}) ${op} dyn(${b})`),
      fc.tuple(tie("list"), fc.constantFrom("all", "exists", "exists_one"), tie("bool")).map(([a, loop, b]) => `${a}.${loop}(x, ${b})`),
      fc.tuple(tie("value"), tie("list")).map(([a, b]) => `${a} in ${b}`),
      fc.tuple(tie("list"), tie("list")).map(([a, b]) => `${a} == ${b}`),
      fc.tuple(tie("bool"), fc.constantFrom("&&", "||"), tie("bool")).map(([a, op, b]) => `(${a} ${op} ${b})`),
      fc.tuple(tie("value"), fc.constantFrom("(a|b)*", "a{1,50}$", "[^b]+c")).map(([a, pattern]) => `string(${a}).matches('${pattern}')`),
    ),
  }));

  it("ends, whatever it is made of", () => {
    const outcomes = new Map<string, number>();
    fc.assert(
      fc.property(bool, (text) => {
        const outcome = attack(`cel.bind(x, object.numbers[1], ${text})`);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }),
      { numRuns: 1_000 },
    );
    // Not all may be refused before they run, or nothing was tried.
    expect([...outcomes.keys()].sort()).toEqual(["EXPRESSION_COST", "EXPRESSION_FAILED", "EXPRESSION_INVALID", "false", "true"]);
  });
});
