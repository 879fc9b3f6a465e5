import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ObjectRefText } from "@muster/shared/model";
import { parseObjectRef } from "@muster/shared/model";
import { createSliceMaker, type MadeSlice } from "../../agent/src/pull/testing/slice-maker.ts";
import { type AuditEntry, isMutating } from "../rig/audit-log.ts";
import { type Part, startPart } from "../rig/child-process-part.ts";
import { judgeDeletions, type RecordedSlice } from "../rig/delete-oracle.ts";
import { eventually } from "../rig/eventually.ts";
import type { AuditMark } from "../rig/kube-apiserver.ts";
import type { ChaosRig } from "./chaos-rig.ts";
import type { Finding, Snapshot } from "./judge.ts";
import { type LaneObjects, laneObjects } from "./objects.ts";
import { coveredBy, type Revision } from "./revision.ts";
import { takeSnapshot } from "./snapshot.ts";

/** What has happened in a lane; it grows. */
export interface LaneRecord {
  /** For each kill the failpoint, or `at random`. */
  readonly kills: string[];
  readonly findings: Finding[];
  /** Milliseconds from the last start, or from the release of a finalizer after it, until everything was as Git says. */
  readonly convergedMs: number[];
}

/** One cluster, as far as its agent is concerned; several share one API server, each in namespaces of its own. */
export interface Lane {
  readonly name: string;
  readonly objects: LaneObjects;
  /** Everything must be in order so many milliseconds after a start. */
  readonly convergenceLimitMs: number;
  /** Of the slice that was published last. */
  readonly generation: number;
  /** What came of it so far. */
  readonly record: LaneRecord;
  /** Starts an agent, after the end of the one before; gives it at once, so that it can be killed before it is ready. */
  start(failpoints?: string): Promise<ChaosAgent>;
  publish(revision: Revision): Promise<void>;
  /** Puts the last slice into the stream once more, as the hub's audit does. */
  republish(): Promise<void>;
  /** Puts one there that wants nothing and is signed by somebody else, and one from before the last. */
  forge(): Promise<void>;
  snapshot(): Promise<Snapshot>;
  /** Takes the finalizers off; gives whether there was anything. */
  release(refs: Iterable<ObjectRefText>): Promise<boolean>;
  /** As somebody who is not Muster. */
  disturb(ref: ObjectRefText, how: "delete" | "edit"): Promise<void>;
  mark(): AuditMark;
  /** Kills the agent. */
  stop(): Promise<void>;
  /** Since the mark. */
  writes(mark: AuditMark): AuditEntry[];
  /** Deletions since the mark that none of these revisions explains, the first of which was in force at the mark. */
  unexplainedDeletions(mark: AuditMark, revisions: readonly Revision[]): AuditEntry[];
}

/** An agent's process. */
export interface ChaosAgent extends Part {
  /** What it said on its way. */
  log(): string;
  /** It has looked at all of a slice, whatever there was to do. */
  hadPass(): boolean;
  /** Failpoints that it has passed, if it was asked to note them. */
  passed(): string[];
}

export async function createLane(rig: ChaosRig, name: string, convergenceLimitMs: number): Promise<Lane> {
  const { api, publisher } = rig;
  const { admin } = api;
  const maker = createSliceMaker(name);
  const stranger = createSliceMaker(name);
  const stateNamespace = `${name}-muster`;
  const objects = laneObjects(name);
  for (const namespace of [stateNamespace, objects.namespace])
    await admin.request("POST", "/api/v1/namespaces", { metadata: { name: namespace } });
  const token = await api.serviceAccountToken(stateNamespace, "agent", 86_400);
  await admin.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
    metadata: { name: `${name}-agent` },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ kind: "ServiceAccount", namespace: stateNamespace, name: "agent" }],
  });
  const file = (of: string, content: string | Buffer) => {
    const path = join(rig.folder, `${name}-${of}`);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  };
  const keys = file("keys.pem", maker.publicKey.export({ type: "spki", format: "pem" }));
  const kubeconfig = file("kubeconfig", kubeconfigWithTokenFile(api, file("token", token)));
  const user = `system:serviceaccount:${stateNamespace}:agent`;
  const slices = new Map<Revision, RecordedSlice>();
  const applied = new Map<string, AuditEntry>();
  /** The last two slices. */
  let [previous, last]: (MadeSlice | undefined)[] = [];
  let starts = 0;
  let running: Part | undefined;

  const mine = (mark: AuditMark) => api.audit(mark).filter((entry) => entry.user === user);
  return {
    name,
    objects,
    convergenceLimitMs,
    get generation() {
      return last?.slice.generation ?? 0;
    },
    record: { kills: [], findings: [], convergedMs: [] },
    async start(failpoints) {
      await running?.kill();
      const logPath = file(`agent-${++starts}.log`, "");
      const part = await startPart({
        name: `agent ${name}`,
        command: process.execPath,
        args: [rig.programs.agent],
        env: {
          ...rig.programs.env,
          MUSTER_CLUSTER: name,
          MUSTER_NAMESPACE: stateNamespace,
          MUSTER_NATS_URL: rig.nats.url,
          MUSTER_HUB_ADDRESS: `localhost:${rig.hub.port}`,
          MUSTER_HUB_SERVER_NAME: "kubernetes",
          MUSTER_HUB_CA_FILE: rig.certPath,
          MUSTER_CERT_FILE: rig.certPath,
          MUSTER_KEY_FILE: rig.keyPath,
          MUSTER_SIGNING_KEYS_FILE: keys,
          MUSTER_POLL_INTERVAL_MS: "1000",
          MUSTER_RELIST_INTERVAL_MS: "5000",
          MUSTER_METRICS_LISTEN: "",
          KUBECONFIG: kubeconfig,
          ...(failpoints && { MUSTER_FAILPOINTS: failpoints }),
        },
        logPath,
        // It may be killed before it is ready for anything.
        ready: async () => {},
      });
      running = part;
      const log = () => readFileSync(logPath, "utf8");
      return Object.assign(Object.create(part) as Part, {
        log,
        hadPass: () => log().includes('"msg":"applied: '),
        passed: () => [...log().matchAll(/^failpoint (\S+)$/gm)].map((match) => match[1] ?? ""),
      });
    },
    async publish(revision) {
      for (const { metadata, ...rest } of revision.existing ?? []) {
        const lastApplied = { "kubectl.kubernetes.io/last-applied-configuration": JSON.stringify({ metadata, ...rest }) };
        const path = `/api/v1/namespaces/${objects.namespace}/configmaps?fieldManager=kubectl-client-side-apply`;
        await admin.request("POST", path, { ...rest, metadata: { ...metadata, annotations: lastApplied } });
      }
      [previous, last] = [last, maker.make(revision.bundles, revision.more)];
      slices.set(revision, { atMs: Date.now(), covered: coveredBy(revision) });
      await publisher.publish(maker, last);
    },
    async republish() {
      if (last) await publisher.publish(maker, last);
    },
    async forge() {
      const generation = (last?.slice.generation ?? 0) + 100;
      await publisher.publish(stranger, stranger.make([{ name: "app", objects: [] }], { generation }));
      // Signed by the right key, and old: what was said once can be said again by anybody.
      if (previous) await publisher.publish(maker, previous);
    },
    // The API server asks for patience while it begins to serve a new kind.
    snapshot: () => eventually(() => takeSnapshot({ admin, lane: name, stateNamespace, maker }), { timeoutMs: 30_000 }),
    async release(refs) {
      let any = false;
      for (const ref of refs) {
        const { namespace, name: object } = parseObjectRef(ref);
        const path = `/api/v1/namespaces/${namespace}/configmaps/${object}`;
        const live = await admin.get<{ metadata: { deletionTimestamp?: string } }>(path);
        if (!live?.metadata.deletionTimestamp) continue;
        any = true;
        // It may be gone by then.
        await admin.request("PATCH", path, { metadata: { finalizers: null } }, "application/merge-patch+json").catch(() => {});
      }
      return any;
    },
    async disturb(ref, how) {
      const { namespace, name: object } = parseObjectRef(ref);
      const path = `/api/v1/namespaces/${namespace}/configmaps/${object}`;
      const edit = { data: { value: "edited by hand" } };
      if (how === "delete") await admin.request("DELETE", path);
      else await admin.request("PATCH", `${path}?fieldManager=kubectl-edit`, edit, "application/merge-patch+json");
    },
    mark: () => api.auditMark(),
    stop: async () => running?.kill(),
    writes: (mark) => mine(mark).filter(isMutating),
    unexplainedDeletions(mark, revisions) {
      const entries = mine(mark);
      for (const entry of entries) {
        const key = [entry.group, entry.resource, entry.namespace, entry.name].join("/");
        if (entry.verb === "patch" && entry.code < 400 && !entry.dryRun && !applied.has(key)) applied.set(key, entry);
      }
      const published = revisions.flatMap((revision) => slices.get(revision) ?? []);
      return [...judgeDeletions([...applied.values(), ...entries], published).unexplained];
    },
  };
}

/** As a pod has it: the token stands in a file, which the agent reads again and again. */
function kubeconfigWithTokenFile({ name, url, caPem }: ChaosRig["api"], tokenFile: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster: { server: url, "certificate-authority-data": Buffer.from(caPem).toString("base64") } }],
    users: [{ name, user: { "auth-provider": { name: "tokenFile", config: { tokenFile } } } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    "current-context": name,
  });
}
