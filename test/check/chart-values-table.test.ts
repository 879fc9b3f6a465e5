import { describe, expect, it } from "vitest";
import { insertValuesTable, readValueRows } from "./chart-values-table.ts";

const VALUES = `# About the file.

image:
  # Where it is.
  registry: ghcr.io
  # One or
  # two lines.
  tag: ""

# A group of its own,
# documented as one.
resources:
  limits: { memory: 1Gi }

# Never nothing.
list: []
`;

describe("the table of a chart's values", () => {
  it("has a row per documented value, with the comment above it and the default", () => {
    expect(readValueRows(VALUES)).toEqual([
      { path: "image.registry", description: "Where it is.", defaultText: "ghcr.io" },
      { path: "image.tag", description: "One or two lines.", defaultText: '""' },
      { path: "resources", description: "A group of its own, documented as one.", defaultText: "{ limits: { memory: 1Gi } }" },
      { path: "list", description: "Never nothing.", defaultText: "[]" },
    ]);
  });

  it("is refused for a value that nobody documents", () => {
    expect(() => readValueRows("# Known.\na: 1\nb: 2\nc:\n  d: 3\n")).toThrow("values without a comment: b, c.d");
  });

  it("replaces the old table and nothing else", () => {
    const readme = "# Chart\n<!-- values: made -->\nold\n<!-- /values -->\nend\n";
    const fresh = insertValuesTable(readme, "# One | two.\na: 1\n");
    expect(fresh).toBe(
      "# Chart\n<!-- values: made -->\n| value | meaning | default |\n| --- | --- | --- |\n| `a` | One \\| two. | `1` |\n<!-- /values -->\nend\n",
    );
    expect(insertValuesTable(fresh, "# One | two.\na: 1\n")).toBe(fresh);
  });

  it("is refused for a README without a place for it", () => {
    expect(() => insertValuesTable("# Chart\n", "# A.\na: 1\n")).toThrow(/lacks the markers/);
  });
});
