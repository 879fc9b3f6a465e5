import type { JsonValue } from "@muster/shared/model";
import { describe, expect, it } from "vitest";
import { toldValues } from "./told-values.ts";

const CANARY = "hunter2hunter2";
const told = (value: JsonValue, keys: string[] = ["f:spec", "f:x"], kind = "Deployment") =>
  toldValues({ wanted: value, got: undefined }, kind, keys).wanted;

describe("values of drift", () => {
  it("are JSON, at most 120 characters, well formed where they are cut", () => {
    expect(told(2)).toBe("2");
    expect(told("web:1")).toBe('"web:1"');
    expect(told({ a: [1, null] })).toBe('{"a":[1,null]}');
    expect(told("😀".repeat(200))).toHaveLength(120);
    expect(told("x".repeat(500))).toMatch(/^"x{118}…$/);
    expect(told("😀".repeat(200))?.isWellFormed()).toBe(true);
  });

  it("of two long texts begin where these begin to differ", () => {
    const file = (level: string) => `${"line\n".repeat(100)}level=${level}\n${"line\n".repeat(100)}`;
    const { wanted, got } = toldValues({ wanted: file("info"), got: file("debug") }, "ConfigMap", ["f:data", "f:app.conf"]);
    expect(wanted).toMatch(/^….*level=info.*…$/);
    expect(got).toMatch(/^….*level=debug.*…$/);
    for (const text of [wanted, got]) expect(text?.length).toBe(120);
  });

  it.each<[string, JsonValue, string[], string]>([
    ["any value of a Secret", CANARY, ["f:data", "f:note"], "Secret"],
    ["what an operator keeps secrets in", CANARY, ["f:spec", "f:data"], "SealedSecret"],
    ["below a key that sounds secret", CANARY, ["f:data", "f:db.password"], "ConfigMap"],
    ["a key in another notation", CANARY, ["f:data", "f:API_KEY"], "ConfigMap"],
    ["an environment variable, by its name", CANARY, ["f:env", 'k:{"name":"DB_PASSWORD"}', "f:value"], "Deployment"],
    ["such a one within a list that is told as a whole", [{ name: "ACCESS_TOKEN", value: CANARY }], ["f:spec", "f:env"], "Deployment"],
    ["a member deep inside", { a: [{ clientSecret: CANARY }] }, ["f:spec", "f:x"], "Widget"],
    ["a flag", ["--db-password", `--token=${CANARY}`], ["f:args"], "Deployment"],
    ["a line of a file", `user = x\npassword = ${CANARY}\n`, ["f:data", "f:app.ini"], "ConfigMap"],
    ["the password of a URL", `postgres://app:${CANARY}@db/x`, ["f:data", "f:url"], "ConfigMap"],
    ["a private key", `-----BEGIN PRIVATE KEY-----\n${CANARY}`, ["f:data", "f:pem"], "ConfigMap"],
    ["a bearer token", `Bearer ${CANARY}`, ["f:data", "f:header"], "ConfigMap"],
    [
      "what kubectl applied last",
      `{"password":"${CANARY}"}`,
      ["f:metadata", "f:annotations", "f:kubectl.kubernetes.io/last-applied-configuration"],
      "X",
    ],
  ])("tell nothing of %s", (_, value, keys, kind) => {
    const text = told(value, keys, kind);
    expect(text).toContain("***");
    expect(text).not.toContain(CANARY.slice(0, 4));
  });

  it("tell of a secret neither its length nor whether it is the same", () => {
    const secret = (value: JsonValue) => told(value, ["f:data", "f:a"], "Secret");
    expect([secret("a"), secret("a".repeat(99)), secret({ a: "b" })]).toEqual(["***", "***", "***"]);
  });
});
