import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { resolveBinary } from "../../../test/rig/binaries.ts";
import { runMuster } from "./testing/sample-hub.ts";

const FLEET = join(import.meta.dirname, "../../../test/demo/fleet");
let tools: string[];
beforeAll(async () => {
  tools = ["--helm", await resolveBinary("helm"), "--kustomize", await resolveBinary("kustomize")];
});

interface Rendered {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly annotations?: Record<string, string> };
  readonly spec?: { readonly replicas?: number };
  readonly data?: Record<string, string>;
}

async function render(...argv: string[]): Promise<Rendered[]> {
  const { code, out, err } = await runMuster(["render", ...argv, "--dir", FLEET, ...tools]);
  expect([code, err]).toEqual([0, ""]);
  const documents = parseAllDocuments(out);
  return Array.isArray(documents) ? documents.map((document) => document.toJS() as Rendered) : [];
}

describe("the demo's fleet without a hub", () => {
  it("is sound", async () => {
    expect(await runMuster(["validate", FLEET, ...tools])).toEqual({
      code: 0,
      out: "",
      err: "✓ no problems in 3 clusters, 4 bundles, 11 targets\n",
    });
  });

  it("renders charts with the cluster's values and layers", async () => {
    const objects = await render("eu-west-1", "podinfo");
    expect(objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`).sort()).toEqual([
      "ConfigMap web/podinfo",
      "Deployment web/podinfo",
      "Service web/podinfo",
    ]);
    expect(objects.find(({ kind }) => kind === "Deployment")?.spec?.replicas).toBe(3);
    expect(objects.find(({ kind }) => kind === "ConfigMap")?.data?.["language"]).toBe("fr");
    expect((await render("lab-1", "podinfo")).find(({ kind }) => kind === "Deployment")?.metadata.annotations).toEqual({
      "acme.example/experimental": "true",
    });
  });

  it("renders overlays, and a whole cluster in the order of its dependencies", async () => {
    expect((await render("us-east-1", "guestbook")).find(({ kind }) => kind === "Deployment")?.spec?.replicas).toBe(3);
    expect((await render("us-east-1"))[0]?.kind).toBe("Namespace");
  });

  it("says that a tool is missing as what it is", async () => {
    const { code, err } = await runMuster(["render", "eu-west-1", "podinfo", "--dir", FLEET, "--helm", "/nonexistent/helm"]);
    expect([code, err]).toEqual([1, expect.stringContaining("[RENDER_TOOL_MISSING]")]);
  });
});
