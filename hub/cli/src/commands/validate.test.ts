import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runMuster } from "../testing/sample-hub.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "muster-checkout-"));
  write("clusters/all.yaml", `${cluster("one", "a")}---\n${cluster("two", "b")}`);
  write("apps/web/bundle.yaml", bundle("web"));
  write("apps/web/config.yaml", configMap("web"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(path: string, text: string): void {
  mkdirSync(join(folder, path, ".."), { recursive: true });
  writeFileSync(join(folder, path), text);
}

const cluster = (name: string, zone: string) =>
  `apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: { name: ${name}, labels: { zone: ${zone} } }\n`;
const bundle = (name: string, more = "") =>
  `apiVersion: muster.dev/v1alpha1\nkind: Bundle\nmetadata: { name: ${name} }\nspec:\n  targets: [{ all: true }]\n  namespace: web\n${more}`;
const configMap = (name: string, value = "x") => `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${name} }\ndata:\n  key: ${value}\n`;

/** What `muster validate` says, with the checkout's place taken out. */
async function validate(): Promise<{ code: number; out: string; err: string }> {
  const { code, out, err } = await runMuster(["validate", folder]);
  return { code, out: out.replaceAll(folder, "DIR"), err };
}

describe("muster validate", () => {
  it("a sound checkout ends with 0", async () => {
    expect(await validate()).toEqual({ code: 0, out: "", err: "✓ no problems in 2 clusters, 1 bundle, 2 targets\n" });
  });

  it("says where each mistake stands, with its code, and ends with 2", async () => {
    write("apps/api/bundle.yaml", bundle("api", "  namspace: x\n"));
    write(
      "apps/db/bundle.yaml",
      "apiVersion: muster.dev/v1alpha1\nkind: Bundle\nmetadata: { name: db }\nspec: { targets: [{ clusters: [three] }] }\n",
    );
    const { code, out } = await validate();
    expect(out.split("\n").sort()).toEqual([
      "",
      'DIR/apps/api/bundle.yaml:7:3: unknown field "namspace" in spec [FLEET_UNKNOWN_FIELD]',
      "DIR/apps/db/bundle.yaml:1:1: the cluster three is not declared [FLEET_UNKNOWN_CLUSTER]",
    ]);
    expect(code).toBe(2);
  });

  it("renders every target, and tells one mistake once with those that it holds back", async () => {
    write("apps/web/config.yaml", configMap("web", "${ZONE}"));
    const { code, out, err } = await validate();
    expect(out).toMatch(
      /^DIR\/apps\/web\/config\.yaml:\d.*ZONE.*\(web on one and 1 more\) \[VARIABLE_UNSET\]\n$|^(DIR\/apps\/web\/config\.yaml:\d.*ZONE.* \[VARIABLE_UNSET\]\n){2}$/,
    );
    expect(err).toContain("✗ ");
    expect(code).toBe(2);
  });

  it("finds an object that stands in two bundles of a cluster", async () => {
    write("apps/twin/bundle.yaml", bundle("twin"));
    write("apps/twin/config.yaml", configMap("web"));
    const { code, out } = await validate();
    expect(out).toContain("[OBJECT_DUPLICATE]");
    expect(code).toBe(2);
  });

  it("a directory without a fleet is never sound", async () => {
    for (const path of ["clusters", "apps"]) rmSync(join(folder, path), { recursive: true });
    write("README.md", "nothing");
    const { code, out } = await validate();
    expect([code, out]).toEqual([2, expect.stringMatching(/^DIR: .*\[FLEET_EMPTY\]\n$/)]);
  });
});

describe("muster render", () => {
  it("prints what the cluster gets, and where each object came from", async () => {
    write("apps/web/config.yaml", configMap("web", '"yes"'));
    expect((await runMuster(["render", "one", "web", "--dir", folder])).out).toBe(`\
# web: apps/web/config.yaml
apiVersion: v1
kind: ConfigMap
metadata:
  name: web
  namespace: web
  labels:
    muster.dev/bundle: web
data:
  key: "yes"
`);
    expect((await runMuster(["render", "one", "--dir", folder, "-o", "name"])).out).toBe("ConfigMap web/web\n");
  });

  it("prints the bundles that can be rendered, tells of the others, and ends with their code", async () => {
    write("apps/broken/bundle.yaml", bundle("broken"));
    write("apps/broken/config.yaml", configMap("broken", "${ZONE}"));
    const { code, out, err } = await runMuster(["render", "one", "--dir", folder, "-o", "name"]);
    expect(out).toBe("ConfigMap web/web\n");
    expect(err).toContain("Bundle broken on cluster one.");
    expect(code).toBe(1);
  });

  it("a whole cluster is never printed without a word of what is missing in it, or stands in it twice", async () => {
    write("apps/held/bundle.yaml", bundle("held", "  namspace: x\n"));
    const render = () => runMuster(["render", "one", "--dir", folder, "-o", "name"]);
    expect(await render()).toMatchObject({
      code: 1,
      out: "ConfigMap web/web\n",
      err: expect.stringMatching(/apps\/held\/bundle\.yaml:7:3.*\[FLEET_UNKNOWN_FIELD\]/) as string,
    });
    write("apps/held/bundle.yaml", bundle("held"));
    write("apps/held/config.yaml", configMap("web"));
    expect(await render()).toMatchObject({ code: 1, err: expect.stringContaining("[OBJECT_DUPLICATE]") as string });
    write("apps/held/config.yaml", configMap("other"));
    expect(await render()).toMatchObject({ code: 0, err: "" });
    for (const name of ["held", "web"]) write(`apps/${name}/bundle.yaml`, bundle(name, "  namspace: x\n"));
    expect(await render()).toMatchObject({ code: 1, out: "", err: expect.stringContaining("apps/web/bundle.yaml:7:3") as string });
  });

  it("a name that the checkout does not declare ends with 5", async () => {
    expect(await runMuster(["render", "on", "--dir", folder])).toMatchObject({
      code: 5,
      err: expect.stringContaining("Did you mean one?") as string,
    });
    expect((await runMuster(["render", "one", "nothing", "--dir", folder])).code).toBe(5);
  });

  it("a bundle that is held is told with its mistake", async () => {
    write("apps/web/bundle.yaml", bundle("web", "  namspace: x\n"));
    expect(await runMuster(["render", "one", "web", "--dir", folder])).toMatchObject({
      code: 1,
      out: "",
      err: expect.stringContaining("[FLEET_UNKNOWN_FIELD]") as string,
    });
  });
});
