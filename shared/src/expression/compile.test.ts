import { describe, expect, it } from "vitest";
import { CodedError } from "../errors/index.ts";
import { compilePredicate, compileText } from "./compile.ts";

const deployment = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "web", labels: { "app.kubernetes.io/name": "web" }, generation: 3, creationTimestamp: "2026-01-01T00:00:00Z" },
  spec: { replicas: 2, ratio: 0.5, memory: "512Mi", hosts: ["a.example", "b.example"] },
  status: {
    observedGeneration: 3,
    readyReplicas: 2,
    last: "2026-01-01T00:10:00.5Z",
    conditions: [
      { type: "Available", status: "True", reason: "MinimumReplicasAvailable" },
      { type: "Progressing", status: "True", message: "done" },
      { status: "Unknown" },
    ],
  },
};

const ask = (text: string, object: unknown = deployment) => compilePredicate(text).evaluate(object);

function codeOf(act: () => unknown): Pick<CodedError, "code" | "message" | "data"> {
  try {
    act();
  } catch (error) {
    if (error instanceof CodedError) return { code: error.code, message: error.message, data: error.data };
    throw error;
  }
  throw new Error("it was expected to fail");
}

describe("an expression", () => {
  it.each([
    `object.status.observedGeneration == object.metadata.generation`,
    `object.status.conditions.exists(c, c.type == "Available" && c.status == "True")`,
    `object.status.conditions.filter(c, has(c.type)).all(c, c.status == 'True')`,
    `object.status.conditions.exists_one(c, c.status == "Unknown")`,
    `object.status.conditions.map(c, c.status) == ["True", "True", "Unknown"]`,
    `object.status.conditions.map(c, has(c.reason), c.reason).join(",") == "MinimumReplicasAvailable"`,
    `has(object.spec.replicas) && !has(object.spec.paused)`,
    `object.?spec.?template.?x.orValue("none") == "none" && object.?spec.?replicas.orValue(0) == 2`,
    `object.?spec.template.hasValue() == false`,
    `object.metadata.labels["app.kubernetes.io/name"] == "web" && object.metadata.labels[?"x"].orValue("y") == "y"`,
    `object.metadata.labels.all(key, key.startsWith("app.") && object.metadata.labels[key].size() == 3)`,
    `"web" in ["web", "db"] && "app.kubernetes.io/name" in object.metadata.labels && !(7 in [1, 2])`,
    `object.spec.replicas * 2 + 1 == 5 && 7 / 2 == 3 && 7 % 2 == 1 && -object.spec.replicas < 0`,
    `object.spec.ratio == 0.5 && object.spec.ratio < 1 && object.spec.replicas == 2.0 && 1.5 + 1.0 == 2.5`,
    `object.spec.replicas > 1 ? size(object.spec.hosts) == 2 : false`,
    `object.spec.hosts[1] == "b.example" && object.spec.hosts + ["c"] == ["a.example", "b.example", "c"]`,
    `[3, 1, 2].sum() == 6 && [3, 1, 2].min() == 1 && ["a", "c"].max() == "c" && ![3, 1].isSorted() && [5, 6, 5].lastIndexOf(5) == 2`,
    `quantity(object.spec.memory).isLessThan(quantity("1Gi")) && quantity("1500m").compareTo(quantity("1.5")) == 0`,
    `quantity("2k").asInteger() == 2000 && !quantity("1m").isInteger() && !isQuantity("many") && quantity("1Ki").sub(24) == quantity("1k")`,
    `timestamp(object.status.last) - timestamp(object.metadata.creationTimestamp) == duration("10m0.5s")`,
    `timestamp("2026-01-01T02:00:00+02:00") == timestamp(object.metadata.creationTimestamp) && duration("90m").getHours() == 1`,
    `cel.bind(ready, object.status.conditions.filter(c, c.status == "True"), ready.size() == 2)`,
    `"a,b,c".split(",") == ["a", "b", "c"] && "a,b,c".split(",", 2) == ["a", "b,c"] && "aXbX".replace("X", "-") == "a-b-"`,
    `"Web".lowerAscii() == "web" && " x ".trim() == "x" && "hello".substring(1, 3) == "el" && "hello".indexOf("l") == 2`,
    `"héllo".size() == 5 && "abc".charAt(1) == "b" && int("42") == 42 && string(4) == "4" && double("1.5") == 1.5`,
    `{"a": 1}["a"] == 1 && {"a": {"b": [1, 2]}} == {"a": {"b": [1, 2]}}`,
    `object.metadata.name.matches("^w.b$") && !"x".matches("[a-c]")`,
    `1 == 1 && "1" != "2" && dyn(1) != dyn("1") && null == null`,
    `true || object.no.such.field`,
    `object.no.such.field || true`,
    `!(false && object.no.such.field == 1)`,
    `object.status.conditions.exists(c, c.type == "Progressing")`,
  ])("is true: %s", (text) => {
    expect(ask(text)).toBe(true);
  });

  it("does not change with what was asked before, and leaves the object alone", () => {
    const expression = compilePredicate("object.status.conditions.all(c, has(c.status))");
    const before = structuredClone(deployment);
    expect([
      expression.evaluate(deployment),
      expression.evaluate({ status: { conditions: [{}] } }),
      expression.evaluate(deployment),
    ]).toEqual([true, false, true]);
    expect(deployment).toEqual(before);
  });

  it("gives a text where one is wanted", () => {
    expect(compileText(`"waits for " + string(object.spec.replicas) + " replicas"`).evaluate(deployment)).toBe("waits for 2 replicas");
    expect(codeOf(() => compileText("object.spec.replicas").evaluate(deployment))).toMatchObject({ code: "EXPRESSION_FAILED" });
    expect(codeOf(() => compileText("1 == 1"))).toMatchObject({ code: "EXPRESSION_INVALID" });
  });

  it.each([
    ["object.status.conditions.exists(c c.type)", /at character 35/],
    ["objet.status.ready", /unknown variable objet.*at character 1$/],
    ["object.status.conditions.exists(c, d.type == 'x')", /unknown variable d.*at character 36$/],
    ["object.status.ready.isReady()", /no function isReady\(\)/],
    ["ready(object)", /no function ready\(\)/],
    ["object.metadata.generation + 1", /gives a int, and a bool is needed/],
    ["1 + 'a' == 2", /no such overload/],
    ["type(object) == map", /no function type\(\)/],
    ["b'abc' == b'abc'", /bytes are not supported/],
    ["has(object)", /./],
    ["", /is empty/],
    [`"${"x".repeat(5_000)}" == ""`, /longer than 4096/],
    [`${"(".repeat(100)}true${")".repeat(100)}`, /maxDepth/],
    [`${"!".repeat(300)}true`, /too deep/],
    [`${"true && ".repeat(400)}true`, /too deep/],
    ["object.a.exists(c.d, true)", /variable/],
  ])("is refused as invalid: %s", (text, message) => {
    expect(codeOf(() => compilePredicate(text))).toMatchObject({ code: "EXPRESSION_INVALID", message: expect.stringMatching(message) });
  });

  it.each([
    ["object.status.phase == 'Ready'", /no such key: phase/],
    ["object.spec.replicas == 1 || object.spec.x == 2", /no such key: x/],
    ["object.spec.replicas", /must give a bool, not a int/],
    ["object.spec.hosts[5] == 'x'", /no such key: 5/],
    ["object.spec.replicas.x == 1", /int has no members/],
    ["object.spec.replicas / 0 == 1", /division by zero/],
    ["object.spec.replicas * 9223372036854775807 == 1", /too large/],
    ["object.spec.replicas < 'a'", /int and string have no order/],
    ["quantity(object.metadata.name).isInteger()", /is no quantity/],
    ["timestamp(object.metadata.name) < timestamp('2026-01-01T00:00:00Z')", /no time/],
    ["object.metadata.name.matches('(?=a)')", /RE2 does not have/],
  ])("fails with a reason and no answer: %s", (text, message) => {
    expect(codeOf(() => ask(text))).toMatchObject({ code: "EXPRESSION_FAILED", message: expect.stringMatching(message) });
  });

  it("says which key was missing, for those that wait for it", () => {
    expect(codeOf(() => ask("object.status.phase == 'Ready'", {}))).toMatchObject({ data: { missing: "status" } });
    expect(codeOf(() => ask("object.spec.replicas / 0 == 1")).data).not.toHaveProperty("missing");
  });

  it("sees what an object has as data, never what JavaScript adds to it", () => {
    for (const name of ["constructor", "__proto__", "toString", "hasOwnProperty"]) {
      expect(ask(`has(object.${name})`)).toBe(false);
      expect(codeOf(() => compilePredicate(`object.${name}()`))).toMatchObject({ code: "EXPRESSION_INVALID" });
    }
    expect(ask("object.__proto__.polluted == 1", JSON.parse('{"__proto__": {"polluted": 1}}'))).toBe(true);
    expect(ask(`{"__proto__": 1}["__proto__"] == 1`)).toBe(true);
  });
});
