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
  const at = (value: Parameters<typeof substituteAt>[0], pointer: string, kind = "Deployment") =>
    substituteAt(value, { steps: pointer.split("/").slice(1), kind }, variables, new Set());
  it.each([
    ["/metadata/labels/x", "5"],
    ["/metadata/annotations/0", "5"],
    ["/metadata/name", "5"],
    ["/spec/replicas", 5],
    ["/spec/template/spec/containers/0/env/0/value", "5"],
    ["/spec/template/spec/containers/0/env/-/value", "5"],
    ["/spec/template/spec/containers/0/args/0", "5"],
    ["/spec/template/spec/containers/0/command/-", "5"],
    ["/spec/template/spec/containers/0/ports/0/containerPort", 5],
    ["/spec/template/spec/nodeSelector/0", "5"],
    ["/data/x", 5],
    ["/value", 5],
    ["/0", 5],
  ])("at %s of a JSON patch a number becomes %j", (pointer, expected) => {
    expect(at("${N}", pointer)).toBe(expected);
  });
  it("what is added to a list is what it would be in the object", () => {
    expect(at({ name: "A", value: "${N}" }, "/spec/containers/0/env/-")).toEqual({ name: "A", value: "5" });
    expect(at([{ name: "A", value: "${N}" }], "/spec/containers/0/env")).toEqual([{ name: "A", value: "5" }]);
    expect(at({ args: ["${N}"], env: [{ value: "${T}" }], ports: [{ containerPort: "${N}" }] }, "/spec/containers/-")).toEqual({
      args: ["5"],
      env: [{ value: "true" }],
      ports: [{ containerPort: 5 }],
    });
  });
  it("data is text in a ConfigMap and a Secret, at the top and nowhere else", () => {
    for (const kind of ["ConfigMap", "Secret"]) {
      expect(at("${N}", "/data/x", kind)).toBe("5");
      expect(at("${N}", "/data/0", kind)).toBe("5");
      expect(at({ x: "${N}" }, "/data", kind)).toEqual({ x: "5" });
      expect(at({ data: { x: "${N}" } }, "", kind)).toEqual({ data: { x: "5" } });
      expect(at({ x: "${N}" }, "/spec/data", kind)).toEqual({ x: 5 });
    }
    expect(at({ stringData: { x: "${N}" } }, "")).toEqual({ stringData: { x: "5" } });
  });
  it("a map called args is no list of arguments, and a list called labels no map of labels", () => {
    expect(at({ args: { x: "${N}" }, labels: ["${N}"] }, "/spec")).toEqual({ args: { x: 5 }, labels: [5] });
  });
});
