import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { createApi } from "../../../src/api/create-api.ts";
import { createSampleFleet } from "../testing/sample-fleet.ts";
import { type SampleHub, startSampleHub } from "../testing/sample-hub.ts";

const sample = createSampleFleet();
let hub: SampleHub;
beforeAll(async () => {
  hub = await startSampleHub(createApi, sample);
});
afterAll(async () => hub.close());

const TARGETS_AT_80 = `\
BUNDLE     CLUSTER    STATE        HEALTH   OBJECTS  WHY
guestbook  lab-1      Failed       Failed         4  KUBE_DENIED: admission web…
podinfo    lab-1      Held         Healthy        4  VARIABLE_UNSET: REPLICAS h…
baseline   us-east-1  Stale 4m20s  Unknown        6  -
podinfo    us-east-1  Stale 4m20s  Unknown        4  -
podinfo    eu-west-1  OutOfSync    Healthy        4  2 drifted
guestbook  eu-west-1  Pending      Healthy        4  DELETION_HELD: 31 deletion…
baseline   eu-west-1  Synced       Healthy        6  -
baseline   lab-1      Synced       Healthy        6  -
`;

const CLUSTERS_WIDE = `\
NAME        STATE         HEALTH    SYNCED   DRIFTED   FAILED   GENERATION   REVISION       HEARD   AGENT   KUBERNETES   LABELS
lab-1       Failed        Failed    2/3            -        2   17           main@3f2a1b9   8s      0.1.0   v1.36.3      env=lab,region=eu
eu-west-1   Held          Healthy   1/3            1        -   41→42        main@3f2a1b9   3s      0.1.0   v1.36.3      env=prod,region=eu
us-east-1   Stale 4m20s   Unknown   0/2            -        -   38→39        main@9c8b7a6   4m20s   0.1.0   v1.36.3      env=prod,region=us
`;

const DRIFT = `\
CLUSTER     BUNDLE    OBJECT                   CHANGE     BY             SINCE   FIELDS
eu-west-1   podinfo   Deployment web/podinfo   modified   kubectl-edit   3m10s   .spec.replicas, .spec.template.spec.containers[0].image
eu-west-1   podinfo   Service web/podinfo      missing    -              3m10s   -
`;

const DRIFT_WIDE = `\
CLUSTER     BUNDLE    OBJECT                   CHANGE     FIELD                                     WANTED                                 GOT                                         BY             WHEN
eu-west-1   podinfo   Deployment web/podinfo   modified   .spec.replicas                            2                                      5                                           kubectl-edit   3m12s
eu-west-1   podinfo   Deployment web/podinfo   modified   .spec.template.spec.containers[0].image   "ghcr.io/stefanprodan/podinfo:6.9.0"   "ghcr.io/stefanprodan/podinfo:6.9.1-rc.1"   kubectl-set    61m
eu-west-1   podinfo   Service web/podinfo      missing    -                                         -                                      -                                           -              3m10s
`;

describe("muster get", () => {
  it("puts what needs somebody first, and fits into the terminal", async () => {
    const { code, out } = await hub.muster(["get", "targets", "--color=never"], { isTTY: true, columns: 80 });
    expect(out).toBe(TARGETS_AT_80);
    expect(code).toBe(0);
  });

  it("cuts nothing and paints nothing where no terminal is", async () => {
    const { out } = await hub.muster(["get", "targets"]);
    expect(out).toContain('KUBE_DENIED: admission webhook "policy.acme.example" denied the request: image tag latest is not allowed');
    expect(out).not.toContain("\u001b");
  });

  it("shows more with -o wide", async () => expect((await hub.muster(["get", "clusters", "-o", "wide"])).out).toBe(CLUSTERS_WIDE));

  it("says who changed what", async () => expect((await hub.muster(["get", "drift"])).out).toBe(DRIFT));

  it("says with -o wide what each field is and was to be, and who changed it when, one line each", async () => {
    expect((await hub.muster(["get", "drift", "-o", "wide"])).out).toBe(DRIFT_WIDE);
    const narrow = await hub.muster(["get", "drift", "-o", "wide", "--color=never"], { isTTY: true, columns: 120 });
    for (const line of narrow.out.split("\n")) expect(line.length).toBeLessThanOrEqual(120);
  });

  it("gives programs what the API gave: a list, or one thing that was asked for by name", async () => {
    const list = JSON.parse((await hub.muster(["get", "clusters", "-o", "json"])).out) as { items: unknown[] };
    expect(list.items).toEqual(sample.clusters);
    expect(JSON.parse((await hub.muster(["get", "cluster", "lab-1", "-o", "json"])).out)).toEqual(sample.clusters[1]);
    expect(parse((await hub.muster(["get", "bundles", "-o", "yaml"])).out)).toEqual({ items: sample.bundles });
  });

  it("-o name gives what get takes as a name again", async () => {
    expect((await hub.muster(["get", "targets", "-l", "env=lab", "-o", "name"])).out).toBe(
      "target/guestbook/lab-1\ntarget/podinfo/lab-1\ntarget/baseline/lab-1\n",
    );
    expect((await hub.muster(["get", "targets", "target/podinfo/lab-1", "-o", "name"])).out).toBe("target/podinfo/lab-1\n");
  });

  it("takes selectors and filters as kubectl does", async () => {
    const names = async (...argv: string[]) => (await hub.muster(["get", ...argv, "-o", "name"])).out.trim().split("\n");
    expect(await names("clusters", "-l", "env=prod,region in (eu)")).toEqual(["cluster/eu-west-1"]);
    expect(await names("targets", "--cluster", "us-east-1", "--bundle", "podinfo")).toEqual(["target/podinfo/us-east-1"]);
    expect(await names("targets", "guestbook")).toEqual(["target/guestbook/lab-1", "target/guestbook/eu-west-1"]);
    expect(await names("revisions", "9c8b7a6")).toHaveLength(1);
    expect(await names("events", "--cluster", "eu-west-1")).toHaveLength(3);
  });

  it("an empty list is told, and is no error", async () => {
    expect(await hub.muster(["get", "drift", "lab-1"])).toEqual({
      code: 0,
      out: "",
      err: "No drift: every object that was heard of is as Git says.\n",
    });
  });

  it("an empty list is no good news of a cluster or bundle that there is not", async () => {
    for (const argv of [
      ["drift", "--cluster", "lab-2"],
      ["events", "lab-2"],
      ["targets", "--cluster", "lab-2"],
    ]) {
      const { code, err } = await hub.muster(["get", ...argv]);
      expect([argv, code, err]).toEqual([argv, 5, expect.stringContaining("Did you mean lab-1?")]);
    }
    expect((await hub.muster(["get", "drift", "--bundle", "podinf"])).err).toContain("Did you mean podinfo?");
  });

  it("a name that nobody knows ends with 5 and a name that was perhaps meant", async () => {
    const { code, err, out } = await hub.muster(["get", "clusters", "eu-west-2"]);
    expect(code).toBe(5);
    expect(out).toBe("");
    expect(err).toBe(
      "error: There is no cluster eu-west-2 [API_NOT_FOUND]\n       Did you mean eu-west-1?\nfix:   Check the name; `muster get` lists what there is.\n",
    );
  });

  it("filters that a list does not have are refused, not left out", async () => {
    for (const argv of [
      ["bundles", "-l", "a=b"],
      ["revisions", "--cluster", "a"],
      ["clusters", "a", "-l", "b"],
      ["drift", "a", "--cluster", "b"],
      ["targets", "a", "--bundle", "b"],
    ]) {
      expect((await hub.muster(["get", ...argv])).code).toBe(2);
    }
  });

  it("reads every page of a list", async () => {
    const many = createSampleFleet();
    const [first] = many.clusters;
    many.clusters = Array.from({ length: 2_345 }, (_, index) => ({ ...first!, name: `edge-${String(index).padStart(4, "0")}` }));
    const large = await startSampleHub(createApi, many);
    try {
      const names = (await large.muster(["get", "clusters", "-o", "name"])).out.trim().split("\n");
      expect(new Set(names).size).toBe(2_345);
    } finally {
      await large.close();
    }
  });
});
