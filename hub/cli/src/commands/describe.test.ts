import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApi } from "../../../src/api/create-api.ts";
import { createSampleFleet } from "../testing/sample-fleet.ts";
import { type SampleHub, startSampleHub } from "../testing/sample-hub.ts";

let hub: SampleHub;
beforeAll(async () => {
  hub = await startSampleHub(createApi, createSampleFleet());
});
afterAll(async () => hub.close());

const described = async (...argv: string[]) =>
  (await hub.muster(["describe", ...argv], { isTTY: true, columns: 80, env: { NO_COLOR: "1" } })).out;

const CLUSTER = `\
Cluster eu-west-1   ✗ Held

What is wrong
  ✗ Deletion held  [DELETION_HELD]
      31 of 62 objects left Git and are more than the budget of 20 %; to delete
      them, add del-7c1f0a92be34 to spec.deletion.approvals of the Fleet
      document
      - ConfigMap guestbook/guestbook
      - Service guestbook/guestbook
      - Deployment guestbook/guestbook
      … and 28 more objects
      If they are meant to go, say so in muster.yaml in Git; if not, put them
      back:
        spec:
          deletion:
            approvals: [del-7c1f0a92be34]
  ! podinfo: OutOfSync  2 drifted

Drift
  ! Deployment web/podinfo  modified by kubectl-edit  3m12s ago
      .spec.replicas: 5, wanted 2
      .spec.template.spec.containers[0].image:
      "ghcr.io/stefanprodan/podinfo:6.9.1-rc.1", wanted
      "ghcr.io/stefanprodan/podinfo:6.9.0" (kubectl-set, 61m ago)
  ! Service web/podinfo  missing  3m10s ago

About
  State        Held
  Health       Healthy
  Heard        3s ago, connected
  Generation   41→42
  Revision     main@3f2a1b9
  Labels       env=prod, region=eu
  Agent        0.1.0
  Kubernetes   v1.36.3

Targets (1/3 synced)
  BUNDLE     STATE      HEALTH   OBJECTS  WHY
  podinfo    OutOfSync  Healthy        4  2 drifted
  guestbook  Pending    Healthy        4  DELETION_HELD: 31 deletions wait for…
  baseline   Synced     Healthy        6  -

Last events
  AGE    LEVEL    TYPE           BUNDLE     MESSAGE
  25m    Info     Published      -          Generation 42 of main@3f2a1b9
  12m    Warning  DeletionHeld   guestbook  31 deletions wait for an approval
  3m12s  Warning  DriftDetected  podinfo    kubectl-edit changed .spec.replicas
`;

const FAILED_TARGET = `\
Target guestbook on lab-1   ✗ Failed

What is wrong
  ✗ Deployment guestbook/guestbook  [KUBE_DENIED]
      admission webhook "policy.acme.example" denied the request: image tag
      latest is not allowed
      → Change the object, or the policy that the message names.

About
  State        Failed
  Health       Failed
  Heard        8s ago
  Objects      4, 1 failed
  Revision     main@3f2a1b9
  Wanted       aaaaaaaaaaaa
  Applied      cccccccccccc
  In Git       fleet:apps/guestbook
  Drift mode   correct
`;

describe("muster describe", () => {
  it("cluster: what is wrong first, who changed what and when, and the YAML that approves a deletion", async () => {
    expect(await described("cluster", "eu-west-1")).toBe(CLUSTER);
  });

  it("target: each object that is not in order, once, with what to do", async () =>
    expect(await described("target", "guestbook", "lab-1")).toBe(FAILED_TARGET));

  it("bundle: where in Git the mistake is", async () => {
    const text = await described("bundle", "podinfo");
    expect(text).toContain(
      "  ✗ Held  [VARIABLE_UNSET] · 25m ago\n      REPLICAS has no value for cluster lab-1 and no default\n      in Git at apps/podinfo/bundle.yaml:14\n",
    );
    expect(text).toContain("In Git       fleet:apps/podinfo");
  });

  it("a silent cluster is never shown as if its state were known", async () => {
    const text = await described("cluster", "us-east-1");
    expect(text).toContain("Cluster us-east-1   ✗ Stale 4m20s\n\nWhat is wrong\n  ✗ Not heard for 4m20s\n");
    expect(text).not.toContain("Healthy");
  });

  it("target --objects asks the agent, and says so if it is not there", async () => {
    expect(await described("target", "podinfo", "eu-west-1", "--objects")).toContain("Objects (1), as the agent sees them now\n");
    const { code, err } = await hub.muster(["describe", "target", "podinfo", "us-east-1", "--objects"]);
    expect([code, err]).toEqual([3, expect.stringContaining("[AGENT_OFFLINE]")]);
  });

  it("target --objects says that an answer was cut, also to a program", async () => {
    const left = "12 more objects are not shown";
    expect(await described("target", "guestbook", "eu-west-1", "--objects")).toContain(`Objects (1), as the agent sees them now\n`);
    expect(await described("target", "guestbook", "eu-west-1", "--objects")).toContain(`  ! Not all of them  ${left}\n`);
    const { code, out, err } = await hub.muster(["describe", "target", "guestbook", "eu-west-1", "--objects", "-o", "json"]);
    expect([code, JSON.parse(out).truncated, err]).toEqual([0, left, `The agent did not tell all: ${left}\n`]);
    const whole = await hub.muster(["describe", "target", "podinfo", "eu-west-1", "--objects", "-o", "json"]);
    expect([JSON.parse(whole.out).truncated, whole.err]).toEqual([undefined, ""]);
  });

  it("target --objects says who owns fields beside Muster, and has no column for it where nobody does", async () => {
    const argv = ["describe", "target", "podinfo", "eu-west-1", "--objects"];
    const shared = (await hub.muster(argv)).out;
    expect(shared).toMatch(/^ {2}OBJECT +HEALTH .*ALSO OWNED BY/m);
    expect(shared).toMatch(/^ {2}Deployment web\/podinfo .*other-tool: \.metadata\.labels\.team/m);
    const { out } = await hub.muster([...argv, "-o", "json"]);
    expect(JSON.parse(out).objects).toMatchObject([{ sharedWith: [{ manager: "other-tool", paths: [".metadata.labels.team"] }] }]);
    expect(await described("target", "guestbook", "eu-west-1", "--objects")).not.toContain("ALSO OWNED BY");
  });

  it("suggests the name that was perhaps meant", async () => {
    const { code, err } = await hub.muster(["describe", "target", "podinf", "lab-1"]);
    expect([code, err]).toEqual([5, expect.stringContaining("Did you mean podinfo?")]);
  });
});
