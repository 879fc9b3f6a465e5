import type { CodedError } from "@muster/shared/errors";
import { describe, expect, it } from "vitest";
import { NO_CAPABILITIES, snapshotOf, targetOf } from "../../../test/fixtures/render/targets.ts";
import type { BundleDefinition } from "../fleet/model.ts";
import { createRenderer } from "./create-renderer.ts";

/** The error of a bundle that has one file with this text. */
async function failure(text: string, bundle: Partial<BundleDefinition> = {}): Promise<CodedError> {
  const renderer = createRenderer({ helm: "/nowhere/helm", kustomize: "/nowhere/kustomize" });
  return await renderer.render(targetOf(bundle), snapshotOf({ "app/a.yaml": text }), NO_CAPABILITIES).then(
    () => {
      throw new Error("no error");
    },
    (error: CodedError) => error,
  );
}

/** Everything of an error that a log, a status or an API may show. */
const shown = (error: CodedError) =>
  JSON.stringify([error.message, error.data, error.at]) + String((error.cause as Error | undefined)?.message ?? "");

const secret = (fields: string, kind = "Secret") => `apiVersion: v1\nkind: ${kind}\nmetadata: {name: s}\n${fields}\n`;

describe("what a Secret holds does not stand in an error", () => {
  it("an expression that cannot be read is named by its path", async () => {
    const error = await failure(secret("stringData: {user: a, 'pass/word': 'x${Qx!9vTcanary'}"));
    expect([error.code, error.message]).toEqual(["VARIABLE_SYNTAX", "Secret s: cannot read the ${…} expression at /stringData/pass~1word"]);
    expect(shown(error)).not.toMatch(/Qx|canary/);
  });
  it("in another kind it is shown as well", async () => {
    const error = await failure(secret("data: {p: '${V:-x}'}", "ConfigMap"));
    expect(error.message).toBe("ConfigMap s: cannot read ${V:-x} at /data/p");
  });
  it.each([{ kind: "Secret" }, { kind: "${KIND}" }, {}])(
    "a patch that may be for a Secret is named by its path: target %j",
    async (target) => {
      const patches = [{ target, patch: { stringData: { p: "x${Qx!9vTcanary" } }, at: { file: "app/bundle.yaml", line: 7 } }];
      const error = await failure(secret("data: {}"), { patches });
      expect([error.code, error.message, error.at?.line]).toEqual([
        "VARIABLE_SYNTAX",
        "Cannot read the ${…} expression at /patch/stringData/p",
        7,
      ]);
      expect(shown(error)).not.toMatch(/Qx|canary/);
    },
  );
  it.each([
    ["a tag that does not fit", "stringData: {p: !!int canary}", "The value cannot be read as !!int"],
    ["a text that begins as an alias does", "stringData:\n  p: *canary", "Unknown anchor"],
    ["a text that begins as a tag does", "stringData:\n  p: !canary!x y", "Undeclared tag handle"],
    ["a text that begins as a tag does, with other characters", "stringData:\n  p: !can<ary", "Tag name cannot contain"],
    ["a number that is too large", "stringData:\n  p: 90071992547409931", "An integer is too large"],
    ["a number in a list of objects", "", ""],
    ["a value that is no text", "stringData: {p: [canary]}", "has a object in stringData"],
    ["data that is no base64", "data: {p: canary}", "has no base64 in data"],
  ])("%s", async (what, fields, message) => {
    const text =
      what === "a number in a list of objects"
        ? "apiVersion: v1\nkind: List\nitems:\n- {kind: Secret, stringData: {p: 90071992547409931}}\n"
        : secret(fields);
    const error = await failure(text);
    expect(error.message).toContain(message);
    expect(error.at?.file).toBe("app/a.yaml");
    expect(shown(error)).not.toMatch(/canary|can<ary|90071992547409931/);
  });
  it("a file that is nothing but a text is not shown", async () => {
    const error = await failure("canary-of-some-vault\n");
    expect([error.code, error.message]).toEqual(["OBJECT_INVALID", "A Kubernetes object is expected, not a string"]);
  });
});
