import { describe, expect, it } from "vitest";
import { ExpressionError, parseTemplate } from "./expression.ts";
import { substitute, substituteAt, substituteValues } from "./substitute.ts";

function fill(value: string, variables: Record<string, string | number | boolean> = {}) {
  const unset = new Set<string>();
  const { spec } = substitute({ spec: value }, variables, unset);
  return unset.size === 0 ? spec : [...unset];
}

describe("expressions", () => {
  const variables = { NAME: "web", PORT: 8080, ON: true, EMPTY: "", _x1: "u", INNER: "${NAME}" };
  it.each([
    ["${NAME}", "web"],
    ["a-${NAME}-b", "a-web-b"],
    ["${NAME}${PORT}", "web8080"],
    ["${PORT}", 8080],
    ["${ON}", true],
    ["${PORT} ", "8080 "],
    ["${EMPTY}", ""],
    ["${_x1}", "u"],
    ["${MISSING:=x}", "x"],
    ["${MISSING:=}", ""],
    ["${MISSING:=3}", 3],
    ["${MISSING:=true}", true],
    ['${MISSING:="3"}', "3"],
    ["p${MISSING:=3}", "p3"],
    ["${MISSING:=a:b=c}", "a:b=c"],
    ["${NAME:=x}", "web"],
    ["$${NAME}", "${NAME}"],
    ["$${NAME} ${NAME}", "${NAME} web"],
    ["$NAME $(NAME) $ {NAME}", "$NAME $(NAME) $ {NAME}"],
    ["${1} ${#} ${} ${{ x }}", "${1} ${#} ${} ${{ x }}"],
    ["${INNER}", "${NAME}"],
  ])("%s becomes %j", (text, expected) => {
    expect(fill(text, variables)).toEqual(expected);
  });
  it.each(["${NAME", "${NAME:-x}", "${A.B}", "${A-B}", "${ NAME }", "${NAME:x}", "${NAME:=x", "${NAME!}"])(
    "%s is refused, not left as it is",
    (text) => {
      expect(() => parseTemplate(text)).toThrow(ExpressionError);
    },
  );
  it("names without value or default are all reported", () => {
    expect(fill("${A} ${B:=x} ${C}")).toEqual(["A", "C"]);
  });
  it("a variable named like a property of every object is not set by that", () => {
    expect(fill("${constructor} ${__proto__}")).toEqual(["constructor", "__proto__"]);
  });
});

describe("substitution in objects", () => {
  const variables = { N: 5, T: true };
  const filled = (value: Parameters<typeof substitute>[0]) => substitute(value, variables, new Set());

  it("takes the variable's type where the expression is the whole value", () => {
    expect(filled({ kind: "Deployment", spec: { replicas: "${N}", paused: "${T}" } })).toEqual({
      kind: "Deployment",
      spec: { replicas: 5, paused: true },
    });
  });
  it("stays text where Kubernetes takes only text", () => {
    const object = {
      kind: "ConfigMap",
      metadata: { name: "${N}", labels: { l: "${N}" }, annotations: { a: "${T}" } },
      data: { d: "${N}" },
      spec: {
        nodeSelector: { n: "${N}" },
        containers: [{ args: ["${N}"], command: ["${N}"], env: [{ name: "A", value: "${N}" }], ports: [{ containerPort: "${N}" }] }],
      },
    };
    expect(filled(object)).toEqual({
      kind: "ConfigMap",
      metadata: { name: "5", labels: { l: "5" }, annotations: { a: "true" } },
      data: { d: "5" },
      spec: {
        nodeSelector: { n: "5" },
        containers: [{ args: ["5"], command: ["5"], env: [{ name: "A", value: "5" }], ports: [{ containerPort: 5 }] }],
      },
    });
  });
  it("only data of ConfigMap and Secret is text; other kinds may have numbers there", () => {
    expect(filled({ kind: "Thing", data: { d: "${N}" } })).toEqual({ kind: "Thing", data: { d: 5 } });
  });
  it("keys are not substituted", () => {
    expect(filled({ spec: { "${N}": 1 } })).toEqual({ spec: { "${N}": 1 } });
  });
  it("what does not change is shared, and an object without expressions is the same object", () => {
    const object = { spec: { a: { b: 1 }, c: "${N}" }, list: [1, "x"] };
    const result = filled(object) as typeof object;
    expect(result.spec.a).toBe(object.spec.a);
    expect(result.list).toBe(object.list);
    const plain = { spec: { a: ["x"] } };
    expect(filled(plain)).toBe(plain);
  });
  it("Helm values keep types everywhere", () => {
    expect(substituteValues({ labels: { a: "${N}" } }, variables, new Set())).toEqual({ labels: { a: 5 } });
  });
  it("values of JSON patches know from their path whether they must be text", () => {
    expect(substituteAt("${N}", ["metadata", "labels", "x"], variables, new Set())).toBe("5");
    expect(substituteAt("${N}", ["spec", "replicas"], variables, new Set())).toBe(5);
  });
});
