import type { JsonObject, Manifest } from "@muster/shared/model";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/rig/eventually.ts";
import { custom, customResource, deployment, type SsaRig, site, startSsaRig, version } from "./testing/ssa-rig.ts";

let rig: SsaRig;
beforeAll(async () => {
  rig = await startSsaRig("fields");
});
afterEach(() => rig?.stopAgents());
afterAll(() => rig?.stop());

const text = { type: "string" };

describe("what the server makes of a manifest is nobody's drift", () => {
  it("E032: a Service's addresses and ports, and the rules of an aggregated ClusterRole", async () => {
    const { namespace, sync, live, seen, drift, edit, applyAs, writes } = await rig.setUp();
    const service: Manifest = {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "web", namespace },
      spec: { type: "NodePort", selector: { app: "web" }, ports: [{ port: 80 }] },
    };
    const role = (rules?: JsonObject[]): Manifest => ({
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRole",
      metadata: { name: `agg-${namespace}` },
      aggregationRule: { clusterRoleSelectors: [{ matchLabels: { to: namespace } }] },
      ...(rules && { rules }),
    });
    await sync([service, role([])]);
    const { clusterIP, ports } = (await live(service))["spec"] as { clusterIP: string; ports: { nodePort: number }[] };
    // As the aggregation controller does it.
    const rules = [{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }];
    await applyAs(role(rules), "clusterrole-aggregation-controller");
    writes();
    await seen(role());
    expect([drift(service), drift(role())]).toEqual([undefined, undefined]);
    await edit(service, "somebody", { metadata: { labels: { theirs: "1" } } });
    await sync([
      { ...service, metadata: { ...service.metadata, labels: { a: "1" } } },
      { ...role([]), metadata: { name: `agg-${namespace}`, labels: { a: "1" } } },
    ]);
    expect((await live(service))["spec"]).toMatchObject({ clusterIP, ports: [{ nodePort: ports[0]?.nodePort }] });
    expect((await live(role()))["rules"]).toEqual(rules);
    expect(writes().sort()).toEqual([`patch clusterroles agg-${namespace}`, "patch services web"]);
  });

  it("E033: finalizers and owners that others have put there", async () => {
    const { namespace, sync, edit, live, seen, drift } = await rig.setUp();
    await sync([site(namespace, { a: "1" }, { finalizers: ["example.com/ours"] })]);
    await edit(site(namespace, {}), "somebody", { metadata: { finalizers: ["example.com/ours", "example.com/theirs"] } });
    await seen(site(namespace, {}));
    expect(drift(site(namespace, {}))).toBeUndefined();
    await sync([site(namespace, { a: "2" })]);
    expect((await live(site(namespace, {}))).metadata["finalizers"]).toEqual(["example.com/theirs"]);
    await edit(site(namespace, {}), "somebody", { metadata: { finalizers: null } });
  });

  it("E036, E037, E041: nulls, empty fields, defaults and quantities; a second apply of them changes nothing", async () => {
    const { namespace, sync, live, seen, drift, restart, writes, entries } = await rig.setUp();
    const objects: Manifest[] = [
      deployment(
        namespace,
        { strategy: {}, revisionHistoryLimit: null },
        {
          resources: { requests: { cpu: "1000m", memory: "1024Mi" }, limits: { cpu: 2, memory: "2048Mi" } },
          env: [
            { name: "EMPTY", value: "" },
            { name: "NULL", value: null },
          ],
          ports: [{ containerPort: 80 }],
          livenessProbe: { httpGet: { port: 80, path: "" } },
          securityContext: {},
          command: [],
          args: null,
        },
      ),
      site(namespace, {}, { annotations: null, labels: {} }),
      { apiVersion: "v1", kind: "Secret", metadata: { name: "s", namespace, creationTimestamp: null }, data: null },
      { apiVersion: "rbac.authorization.k8s.io/v1", kind: "Role", metadata: { name: "r", namespace }, rules: null },
      {
        apiVersion: "networking.k8s.io/v1",
        kind: "NetworkPolicy",
        metadata: { name: "n", namespace },
        spec: { podSelector: {}, ingress: [{}], policyTypes: ["Ingress"] },
      },
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: "v", namespace },
        spec: { selector: { app: "web" }, ports: [{ port: 80, targetPort: "http" }], externalIPs: [] },
      },
      {
        apiVersion: "policy/v1",
        kind: "PodDisruptionBudget",
        metadata: { name: "p", namespace },
        spec: { minAvailable: "50%", selector: {} },
      },
    ];
    await sync(objects);
    const versions = async () => Promise.all(objects.map(async (object) => (await live(object)).metadata["resourceVersion"]));
    const before = await versions();
    for (const object of objects) {
      await seen(object);
      expect([object.kind, drift(object)]).toEqual([object.kind, undefined]);
    }
    writes();
    const second = restart();
    await eventually(() => expect(second.bundle("a")).toMatchObject({ state: "Synced", drifted: 0 }));
    // A process that has just started applies each once, to know what “not drifted” looks like; none of it is a change.
    expect(entries()).toHaveLength(objects.length);
    expect(second.reconciler.inspect({}).map((one) => one.lastAction)).toEqual(objects.map(() => "unchanged"));
    expect(await versions()).toEqual(before);
  });

  it("E035: the order of a list that is a map or a set; and of such a list, entries of others", async () => {
    const { namespace, sync, edit, live, seen, drift } = await rig.setUp();
    const list = (items: JsonObject, more: JsonObject) => ({ type: "array", items, ...more });
    const definition = customResource(`bag${namespace.replaceAll("-", "")}`, [
      version("v1", {
        atomic: list(text, { "x-kubernetes-list-type": "atomic" }),
        set: list(text, { "x-kubernetes-list-type": "set" }),
        map: list(
          { type: "object", required: ["name"], properties: { name: text, value: text } },
          { "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] },
        ),
      }),
    ]);
    const bag = custom(`bag${namespace.replaceAll("-", "")}`, namespace, {
      atomic: ["a", "b"],
      set: ["a", "b"],
      map: [
        { name: "a", value: "1" },
        { name: "b", value: "2" },
      ],
    });
    await sync([definition, bag]);
    await edit(bag, "somebody", {
      spec: {
        set: ["c", "b", "a"],
        map: [
          { name: "c", value: "3" },
          { name: "b", value: "2" },
          { name: "a", value: "1" },
        ],
      },
    });
    await seen(bag);
    expect(drift(bag)).toBeUndefined();
    await edit(bag, "somebody", { spec: { atomic: ["b", "a"] } });
    await eventually(async () => expect((await live(bag))["spec"]).toMatchObject({ atomic: ["a", "b"] }));
    await edit(bag, "somebody", { spec: { map: [{ name: "a", value: "changed" }] } });
    await eventually(async () =>
      expect((await live(bag))["spec"]).toMatchObject({
        map: expect.arrayContaining([
          { name: "a", value: "1" },
          { name: "b", value: "2" },
        ]),
      }),
    );
  });

  it("E043: what a mutating policy makes of one of our fields, and what it adds", async ({ skip }) => {
    const { namespace, sync, live, seen, drift, agent, writes } = await rig.setUp();
    const admission = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolic";
    const policy = {
      metadata: { name: "rewrite" },
      spec: {
        matchConstraints: {
          namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": namespace } },
          resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE", "UPDATE"], resources: ["configmaps"] }],
        },
        failurePolicy: "Fail",
        reinvocationPolicy: "Never",
        mutations: [
          { patchType: "ApplyConfiguration", applyConfiguration: { expression: 'Object{data: {"a": "rewritten", "added": "1"}}' } },
        ],
      },
    };
    if (!(await rig.api.admin.get(`${admission}ies`))) skip("mutating policies are not served before 1.36");
    await rig.api.admin.request("POST", `${admission}ies`, policy);
    await rig.api.admin.request("POST", `${admission}ybindings`, { metadata: { name: "rewrite" }, spec: { policyName: "rewrite" } });
    await eventually(async () => {
      const probe = { ...site(namespace, { a: "1" }), metadata: { name: "probe" } };
      const made = await rig.api.admin.request<Manifest>("POST", `/api/v1/namespaces/${namespace}/configmaps?dryRun=All`, probe);
      expect(made["data"]).toMatchObject({ a: "rewritten" });
    });
    await sync([site(namespace, { a: "1" })]);
    await seen(site(namespace, {}));
    expect((await live(site(namespace, {})))["data"]).toEqual({ a: "rewritten", added: "1" });
    expect(drift(site(namespace, {}))).toBeUndefined();
    expect(agent.bundle("a")).toMatchObject({ state: "Synced", drifted: 0 });
    expect(writes()).toEqual(["patch configmaps site"]);
  });
});

describe("webhooks", () => {
  const webhook = (name: string, clientConfig: JsonObject, metadata: JsonObject = {}): Manifest => ({
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: { name, ...metadata },
    webhooks: [
      {
        name: "check.example.com",
        sideEffects: "None",
        admissionReviewVersions: ["v1"],
        failurePolicy: "Fail",
        namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": name } },
        rules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["*"], resources: ["configmaps"] }],
        clientConfig: { url: "https://127.0.0.1:1/check", ...clientConfig },
      },
    ],
  });
  const bundleOf = (live: Manifest) => (live["webhooks"] as { clientConfig: { caBundle?: string } }[])[0]?.clientConfig.caBundle;
  // A certificate that the API server takes; what it is worth does not matter here.
  const injected = (pem: string) => Buffer.from(pem).toString("base64");

  it("E038: a caBundle that is injected stays, if Git has none, and if Git has one and ignores it", async () => {
    const { namespace, sync, take, edit, live, seen, drift, failure } = await rig.setUp();
    const inject = async (name: string) => {
      const { webhooks } = (await live(webhook(name, {}))) as unknown as { webhooks: [JsonObject & { clientConfig: JsonObject }] };
      const [first] = webhooks;
      const clientConfig = { ...first.clientConfig, caBundle: injected(rig.api.caPem) };
      await edit(webhook(name, {}), "cert-manager-cainjector", { webhooks: [{ ...first, clientConfig }] });
    };
    const [none, ignored] = [`none-${namespace}`, `ignored-${namespace}`];
    const placeholder = { caBundle: injected(`${rig.api.caPem}\n`) };
    const ignore = [{ kind: "ValidatingWebhookConfiguration", name: ignored, paths: ["/webhooks/*/clientConfig/caBundle"] }];
    const options = { drift: { mode: "correct" as const, ignore } };
    await sync([webhook(none, {}), webhook(ignored, placeholder)], options);
    for (const name of [none, ignored]) await inject(name);
    for (const name of [none, ignored]) {
      await seen(webhook(name, {}));
      expect(drift(webhook(name, {}))).toBeUndefined();
    }
    const more = { labels: { changed: "1" } };
    await sync([webhook(none, {}, more), webhook(ignored, placeholder, more)], options);
    for (const name of [none, ignored]) expect(bundleOf(await live(webhook(name, {})))).toBe(injected(rig.api.caPem));
    await take([webhook(none, { caBundle: "no base64!" }, more), webhook(ignored, placeholder, more)], options);
    await eventually(() => expect(failure(webhook(none, {}))).toMatchObject({ code: "KUBE_INVALID" }));
    expect(bundleOf(await live(webhook(none, {})))).toBe(injected(rig.api.caPem));
  });

  it("E042: where a dry run is refused, what has drifted is unknown and not “in sync”, and nothing is written", async () => {
    const { namespace, sync, edit, restart, drift, live, writes } = await rig.setUp();
    const options = { drift: { mode: "report" as const, ignore: [] } };
    await sync([site(namespace, { a: "1" })], options);
    await edit(site(namespace, {}), "kubectl-edit", { data: { a: "2" } });
    const path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    await rig.api.admin.request("POST", path, webhook(namespace, {}));
    await eventually(() => expect(edit(site(namespace, {}), "somebody", { data: { b: "2" } })).rejects.toThrow("check.example.com"));
    writes();
    const second = restart();
    await eventually(() =>
      expect(second.bundle("a")).toMatchObject({
        state: "Failed",
        message: expect.stringContaining("check.example.com"),
        health: "Unknown",
      }),
    );
    expect(drift(site(namespace, {}))).toBeUndefined();
    await rig.api.admin.request("DELETE", `${path}/${namespace}`);
    await eventually(() => {
      second.reconciler.trigger();
      expect(drift(site(namespace, {}))).toMatchObject({ kind: "modified", manager: "kubectl-edit", paths: [".data.a"] });
    });
    expect((await live(site(namespace, {})))["data"]).toEqual({ a: "2" });
    expect(writes()).toEqual([]);
  });
});

describe("what the server refuses", () => {
  it("E028: the same key twice in a list, which no hub lets through, is told and not tried again and again", async () => {
    const { namespace, take, failure, live, entries, mark } = await rig.setUp();
    mark();
    const env = [
      { name: "A", value: "1" },
      { name: "A", value: "2" },
    ];
    await take([deployment(namespace, {}, { env }), site(namespace, { a: "1" })]);
    await eventually(async () => {
      expect(failure(deployment(namespace))).toMatchObject({ code: "KUBE_INVALID", message: expect.stringContaining("env") });
      expect((await live(site(namespace, {})))["data"]).toEqual({ a: "1" });
    });
    expect(entries().map((entry) => entry.resource)).toEqual(["configmaps"]);
  });

  it("E050, E051: what is too large is told as such and never half there; what is not has no copy of itself in an annotation", async () => {
    const { namespace, take, failure, live, synced } = await rig.setUp();
    const big = site(namespace, { a: "x".repeat(1_600_000) });
    const secret: Manifest = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "big", namespace },
      data: { a: Buffer.alloc(2_500_000).toString("base64") },
    };
    const fine = { ...site(namespace, { a: "y".repeat(1_000_000) }), metadata: { name: "fine", namespace } };
    const name = `large${namespace.replaceAll("-", "")}`;
    const fields = Object.fromEntries(Array.from({ length: 930 }, (_, at) => [`f${at}`, { type: "string", description: "d".repeat(950) }]));
    const definition = customResource(name, [version("v1", fields)]);
    await take([big, secret, fine, definition]);
    await eventually(async () => {
      for (const object of [big, secret]) expect(failure(object)?.code).toMatch(/^KUBE_(TOO_LARGE|INVALID)$/);
      expect((await live(fine)).metadata["annotations"]).toBeUndefined();
      expect(JSON.stringify((await live(definition))["spec"]).length).toBeGreaterThan(900_000);
    });
    expect((await live(definition)).metadata["annotations"]).toBeUndefined();
    await expect(live(big)).rejects.toThrow("404");
    await take([fine, definition]);
    await synced();
  });
});
