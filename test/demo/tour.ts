import { eventually } from "../rig/eventually.ts";
import type { Muster } from "../rig/muster.ts";

/** One thing that the tour does and checks. */
export interface TourStep {
  readonly title: string;
  /** Gives a sentence with what was measured. Throws if it did not come out as it must. */
  run(muster: Muster): Promise<string>;
}

interface ConfigMap {
  readonly metadata: { readonly uid: string };
  readonly data: Record<string, string>;
}
interface FleetAnswer {
  readonly healthy: boolean;
  readonly clusters: { readonly live: number; readonly total: number };
}

const PODINFO = "/api/v1/namespaces/web/configmaps/podinfo";
const WIDGET = "/apis/acme.example/v1/namespaces/web/widgets/first";

async function timed(work: () => Promise<unknown>): Promise<string> {
  const started = performance.now();
  await work();
  const ms = performance.now() - started;
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

const config = (muster: Muster, cluster: string) => muster.clusters.get(cluster).admin.get<ConfigMap>(PODINFO);

/** Waits until the fleet is as Git says, healthy and heard of lately. */
export async function fleetHealthy(muster: Muster, timeoutMs = 30_000): Promise<void> {
  await eventually(
    async () => {
      const { body } = await muster.api<FleetAnswer>("/fleet");
      if (!body.healthy) throw new Error(JSON.stringify(body).slice(0, 400));
    },
    { timeoutMs, message: "the fleet being healthy" },
  );
}

async function messageEverywhere(muster: Muster, message: string): Promise<void> {
  await Promise.all(
    muster.clusters.all.map((cluster) =>
      eventually(
        async () => {
          const found = (await config(muster, cluster.name))?.data["message"];
          if (found !== message) throw new Error(`${cluster.name} says ${found}`);
        },
        { intervalMs: 5 },
      ),
    ),
  );
}

const valuesWith = (muster: Muster, message: string) =>
  muster.repository
    .git("show", "HEAD:apps/podinfo/bundle.yaml")
    .then((text) => ({ "apps/podinfo/bundle.yaml": `${text.replace(/message: [^}]*}/, `message: ${message} }`)}\n` }));

const bring = (text: string, from: string, to: string) => ({ "clusters/lab.yaml": text.replace(from, to) });

/** What `npm run demo -- --tour` does, in order. */
export const TOUR: readonly TourStep[] = [
  {
    title: "A commit reaches every cluster",
    async run(muster) {
      const files = await valuesWith(muster, "bonjour from a commit");
      await muster.repository.commit("Say bonjour", files);
      const took = await timed(async () => {
        await muster.webhook();
        await messageEverywhere(muster, "bonjour from a commit");
      });
      return `changed on all ${muster.clusters.all.length} clusters ${took} after the push`;
    },
  },
  {
    title: "Somebody edits an object by hand",
    async run(muster) {
      const cluster = muster.clusters.get("eu-west-1");
      await cluster.admin.request(
        "PATCH",
        `${PODINFO}?fieldManager=kubectl-edit`,
        { data: { message: "edited by hand" } },
        "application/merge-patch+json",
      );
      const took = await timed(() =>
        eventually(
          async () => {
            if ((await config(muster, "eu-west-1"))?.data["message"] !== "bonjour from a commit") throw new Error("not back yet");
          },
          { intervalMs: 5 },
        ),
      );
      const event = await eventually(async () => {
        const { body } = await muster.api<{ items: { type: string; message: string }[] }>("/events?cluster=eu-west-1&limit=20");
        const found = body.items.find((item) => item.type === "DriftDetected" && item.message.includes("kubectl-edit"));
        if (!found) throw new Error("the hub has not told of it");
        return found;
      });
      return `back after ${took}; the hub knows: “${event.message}”`;
    },
  },
  {
    title: "Somebody deletes an object",
    async run(muster) {
      const cluster = muster.clusters.get("us-east-1");
      const before = await cluster.admin.get<ConfigMap>(WIDGET);
      await cluster.admin.request("DELETE", WIDGET);
      const took = await timed(() =>
        eventually(
          async () => {
            const now = await cluster.admin.get<ConfigMap>(WIDGET);
            if (!now || now.metadata.uid === before?.metadata.uid) throw new Error("not back yet");
          },
          { intervalMs: 5 },
        ),
      );
      return `the widget is back after ${took}`;
    },
  },
  {
    title: "A cluster gets another label",
    async run(muster) {
      const lab = await muster.repository.git("show", "HEAD:clusters/lab.yaml");
      const widget = () => muster.clusters.get("lab-1").admin.get(WIDGET);
      await muster.repository.commit("Make the lab a production cluster", bring(`${lab}\n`, "env: lab", "env: prod"));
      const added = await timed(async () => {
        await muster.webhook();
        await eventually(
          async () => {
            if (!(await widget().catch(() => undefined))) throw new Error("no widget in the lab yet");
          },
          { intervalMs: 10 },
        );
      });
      await muster.repository.commit("Make it a lab again", bring(`${lab}\n`, "env: prod", "env: lab"));
      const removed = await timed(async () => {
        await muster.webhook();
        await eventually(
          async () => {
            if (await widget().catch(() => undefined)) throw new Error("the widget is still in the lab");
          },
          { intervalMs: 10 },
        );
      });
      return `the bundle for production came after ${added} and left after ${removed}; its CRD stays until its deletion is approved`;
    },
  },
  {
    title: "A deletion that takes more with it waits for a person",
    async run(muster) {
      const held = await eventually(async () => {
        const { body } = await muster.api<{ heldDeletion?: { id: string; objects: number } }>("/clusters/lab-1");
        if (!body.heldDeletion) throw new Error("the hub does not tell of the held deletion");
        return body.heldDeletion;
      });
      const crd = () =>
        muster.clusters.get("lab-1").admin.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.acme.example");
      if (!(await crd())) throw new Error("the CRD was deleted without an approval");
      const fleet = await muster.repository.git("show", "HEAD:muster.yaml");
      await muster.repository.commit("Approve the deletion of the CRD", {
        "muster.yaml": `${fleet}\n  deletion: { approvals: [${held.id}] }\n`,
      });
      const took = await timed(async () => {
        await muster.webhook();
        await eventually(
          async () => {
            if (await crd()) throw new Error("the CRD is still there");
          },
          { intervalMs: 10 },
        );
      });
      return `${held.id} was approved in Git, and the CRD left the lab after ${took}`;
    },
  },
  {
    title: "A typo in Git breaks one bundle, and only that",
    async run(muster) {
      const broken = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: oops\n";
      await muster.push("Break the baseline, change podinfo", {
        "platform/baseline/oops.yaml": broken,
        ...(await valuesWith(muster, "still moving")),
      });
      const took = await timed(() => messageEverywhere(muster, "still moving"));
      const { body } = await muster.api<{ problems: { message: string; reason: string }[] }>("/fleet");
      const problem = body.problems.find((entry) => entry.reason === "YAML_SYNTAX");
      if (!problem) throw new Error(`the hub does not tell of the typo: ${JSON.stringify(body.problems)}`);
      await muster.push("Mend the baseline", { "platform/baseline/oops.yaml": null });
      return `podinfo moved on in ${took}; the hub says: “${problem.message}”`;
    },
  },
  {
    title: "NATS loses everything",
    async run(muster) {
      const marks = muster.clusters.all.map((cluster) => [cluster, cluster.auditMark()] as const);
      const wiped = await timed(() => muster.nats.wipe());
      const took = await timed(async () => {
        await muster.push("Change podinfo after the loss", await valuesWith(muster, "back after the loss"));
        await messageEverywhere(muster, "back after the loss");
      });
      const deleted = marks.flatMap(([cluster, mark]) =>
        cluster.audit(mark).filter((entry) => entry.verb === "delete" && entry.resource !== "secrets"),
      );
      if (deleted.length > 0) throw new Error(`something was deleted: ${JSON.stringify(deleted[0])}`);
      return `wiped in ${wiped}; the next commit was everywhere after ${took}, and the audit logs show no deletion`;
    },
  },
  {
    title: "A restarted agent works with NATS and the hub's word gone",
    async run(muster) {
      await muster.nats.kill();
      await muster.agent("lab-1").restart();
      const cluster = muster.clusters.get("lab-1");
      await cluster.admin.request("DELETE", PODINFO);
      const took = await timed(() =>
        eventually(
          async () => {
            if (!(await config(muster, "lab-1"))) throw new Error("not back yet");
          },
          { intervalMs: 10 },
        ),
      );
      await muster.nats.restart();
      return `with NATS down, a deleted object was back after ${took}, from the last good slice in the cluster`;
    },
  },
  {
    title: "An agent goes silent",
    async run(muster) {
      await muster.agent("us-east-1").kill();
      const took = await timed(() =>
        eventually(
          async () => {
            const { body } = await muster.api<{ freshness: string; health: string }>("/clusters/us-east-1");
            if (body.freshness !== "Stale") throw new Error(`still ${body.freshness}`);
            if (body.health === "Current") throw new Error("a silent cluster is shown as healthy");
          },
          { timeoutMs: 60_000 },
        ),
      );
      await muster.agent("us-east-1").restart();
      const back = await timed(() => fleetHealthy(muster, 60_000));
      return `Stale after ${took} (the demo's lease is 5 s), and healthy ${back} after its return`;
    },
  },
];
