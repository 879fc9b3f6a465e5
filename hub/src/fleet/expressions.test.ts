import { describe, expect, it } from "vitest";
import { readDocuments } from "./read-documents.ts";

const read = (text: string, kind = "Bundle") =>
  readDocuments(
    Buffer.from(`apiVersion: muster.dev/v1alpha1\nkind: ${kind}\nmetadata: { name: web }\n${text}`),
    "web/bundle.yaml",
    "fleet",
  );

const TARGETS = "spec:\n  targets: [{ all: true }]\n";
const RULE = "  health:\n    - group: acme.io\n      kind: Widget\n      current: ";

describe("E135: expressions in documents", () => {
  it("are taken if they can be read and give what is needed", () => {
    const { documents, problems } = read(
      `${TARGETS}${RULE}object.status.phase == "Ready"\n      failed: has(object.status.error)\n      message: string(object.status.phase)\n` +
        `  dependsOn: [{ bundle: db, ready: [{ kind: Secret, expression: size(object.data) > 0 }] }]\n` +
        `  drift: { ignore: [{ paths: [/data], when: has(object.data.x) }] }\n`,
    );
    expect(problems).toEqual([]);
    expect(documents).toHaveLength(1);
  });

  it("are refused where they stand, with file and line, and hold back the bundle alone", () => {
    expect(read(`${TARGETS}${RULE}objekt.status.ready\n`).problems).toEqual([
      {
        code: "EXPRESSION_INVALID",
        message: expect.stringMatching(/^spec\.health\.0\.current: objekt\.status\.ready: unknown variable objekt.*at character 1$/),
        at: { file: "web/bundle.yaml", source: "fleet", line: 9, column: expect.any(Number) },
        kind: "Bundle",
        name: "web",
      },
    ]);
  });

  it.each([
    ["a text where true or false is needed", `${TARGETS}${RULE}string(object.status.phase)\n`],
    ["true or false where a text is needed", `${TARGETS}${RULE}"true"\n      message: object.a == 1\n`],
    ["a function that does not exist", `${TARGETS}${RULE}object.isReady()\n`],
    ["a parenthesis too few", `${TARGETS}${RULE}(object.a == 1\n`],
    ["in what a dependency must be", `${TARGETS}  dependsOn: [{ bundle: db, ready: [{ kind: Secret, expression: object.x + 1 }] }]\n`],
    ["in what drift ignores", `${TARGETS}  drift: { ignore: [{ paths: [/data], when: "[1]" }] }\n`],
  ])("are refused: %s", (_what, text) => {
    expect(read(text).problems).toMatchObject([{ code: "EXPRESSION_INVALID", name: "web" }]);
  });

  it("are refused in the fleet's defaults too", () => {
    const text = "spec:\n  defaults:\n    health:\n      - kind: Widget\n        current: object.\n";
    expect(read(text, "Fleet").problems).toMatchObject([{ code: "EXPRESSION_INVALID", at: { line: 8 } }]);
  });
});
