import { describe, expect, it } from "vitest";
import { matchesLabelQuery, parseLabelSelector } from "./label-selector-query.ts";

// The cases are those of apimachinery's pkg/labels/selector_test.go: what kubectl takes, the hub takes, and nothing else.

describe("a label selector of a query", () => {
  it.each([
    "",
    "x=a,y=b,z=c",
    "x!=a,y=b",
    "x=",
    "x= ",
    "x=,z= ",
    "x= ,z= ",
    "x",
    "!x",
    "x>1",
    "x>1,z<5",
    "x==a",
    "x in (a)",
    "x in (a,b)",
    "x in ( a , b )",
    "x notin (a,,b)",
    "x in (,)",
    "x notin (a),y in (b),z",
    "in in (in)",
    "notin",
    "example.com/role=web",
    "! x",
    "  x  =  a  ",
  ])("can be %j", (text) => {
    expect(() => parseLabelSelector(text)).not.toThrow();
  });

  it.each([
    "x=a||y=b",
    "x==a==b",
    "!x=a",
    "x<a",
    "x>",
    "x in ()",
    "x in (a",
    "x in a",
    "x notin (a,b",
    "x=a,",
    ",",
    "x,,y",
    "=a",
    "x y",
    "-x=a",
    "x=-a",
    "x=a_",
    "x=(a)",
    "a/b/c",
    `${"a".repeat(64)}=b`,
    `x=${"b".repeat(64)}`,
  ])("cannot be %j, and the answer shows it", (text) => {
    expect(() => parseLabelSelector(text)).toThrow(
      expect.objectContaining({ code: "API_BAD_REQUEST", message: expect.stringContaining(JSON.stringify(text)) }),
    );
  });

  it.each<[string, Record<string, string>, boolean]>([
    ["", {}, true],
    ["x=y", { x: "y" }, true],
    ["x=y,z=w", { x: "y", z: "w" }, true],
    ["x!=y,z!=w", { x: "z", z: "a" }, true],
    ["x!=y", {}, true],
    ["notin=in", { notin: "in" }, true],
    ["x", { x: "z" }, true],
    ["!x", { y: "z" }, true],
    ["x>1", { x: "2" }, true],
    ["x<1", { x: "0" }, true],
    ["x>1", { x: "1" }, false],
    ["x>1", { x: "many" }, false],
    ["x>1", {}, false],
    ["x>9", { x: "10" }, true],
    ["x=y", { x: "z" }, false],
    ["x=y,z=w", { x: "w", z: "w" }, false],
    ["x", {}, false],
    ["!x", { x: "z" }, false],
    ["x in (a,b)", { x: "b" }, true],
    ["x in (a,b)", {}, false],
    ["x notin (a,b)", {}, true],
    ["x notin (a,b)", { x: "a" }, false],
    ["x=", { x: "" }, true],
    ["x=", {}, false],
    ["x in (,a)", { x: "" }, true],
    ["constructor", {}, false],
  ])("%j on %j: %s", (text, labels, expected) => {
    expect(matchesLabelQuery(parseLabelSelector(text), labels)).toBe(expected);
  });
});
