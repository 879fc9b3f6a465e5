import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildBundles } from "../build/bundle.ts";
import { ensureBinaries } from "../rig/binaries.ts";
import { type Muster, startMuster } from "../rig/muster.ts";
import { createTempFolder } from "../rig/temp-folder.ts";
import { readScriptOptions } from "../script-options.ts";
import { SAMPLE_CLUSTERS, sampleFleet } from "./sample-fleet.ts";
import { fleetHealthy, TOUR } from "./tour.ts";
import { reportDeploymentsAsRunning } from "./workloads.ts";

/** `npm run demo [-- --tour]`: the main job on real parts. Stays up until Ctrl-C; the tour does things itself and ends with 0 or 1. */
const values = readScriptOptions(
  { name: "demo", about: "NATS, three Kubernetes API servers, a Git server, the hub and an agent per cluster, on loopback." },
  { tour: { help: "Does things itself, and ends with 0 or 1; without it the demo stays up until Ctrl-C." } },
);
const say = (text = "") => void process.stdout.write(`${text}\n`);

const stopped = Promise.withResolvers<void>();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stopped.resolve());

class Interrupted extends Error {}
const interrupted = stopped.promise.then(() => Promise.reject(new Interrupted("it was interrupted")));
interrupted.catch(() => {});
/** Ctrl-C ends the demo at any time; what was started meanwhile ends with this process. */
const unlessInterrupted = <T>(work: Promise<T>): Promise<T> => Promise.race([work, interrupted]);

const programFolder = createTempFolder("demo");
let code = 0;
let muster: Muster | undefined;
let workloads: { stop(): Promise<void> } | undefined;
try {
  say("Muster demo: NATS, three Kubernetes API servers, a Git server, the hub and an agent per cluster, all on loopback.");
  await unlessInterrupted(ensureBinaries(["nats-server", "etcd", "kube-apiserver", "kustomize", "helm"]));
  const programs = await unlessInterrupted(buildBundles({ outDir: programFolder.path }));
  const started = performance.now();
  muster = await unlessInterrupted(
    startMuster({
      clusters: SAMPLE_CLUSTERS,
      files: sampleFleet(),
      programs,
      // Short times, so that things show within the patience of whoever watches.
      hub: { grpc: { leaseMs: 5_000, heartbeatIntervalMs: 1_000 }, source: { pollIntervalMs: 5_000 } },
      agent: { MUSTER_POLL_INTERVAL_MS: "5000" },
      progress: (what) => say(`  starting ${what} …`),
    }),
  );
  workloads = reportDeploymentsAsRunning(muster.clusters.all);
  await unlessInterrupted(fleetHealthy(muster));
  say(`The fleet is up and healthy after ${((performance.now() - started) / 1_000).toFixed(1)} s.\n`);
  const cli = cliOf(muster, programs.cli);
  showFleet(cli);
  if (values.tour) await unlessInterrupted(tour(muster));
  else {
    say(instructions(muster, cli));
    await stopped.promise;
    say("\nstopping everything …");
  }
} catch (error) {
  // As a shell reports a program that Ctrl-C has ended.
  code = error instanceof Interrupted ? 130 : 1;
  if (error instanceof Interrupted) say("\nstopped before the end; stopping everything …");
  else {
    process.stderr.write(`\nThe demo has failed: ${error instanceof Error ? error.message : String(error)}\n`);
    if (muster) process.stderr.write(`Last lines of the hub's log:\n${muster.hub.logTail(10)}\n`);
  }
} finally {
  await workloads?.stop();
  await muster?.stop();
  programFolder.remove();
}
process.exit(code);

/** How to call the CLI against this hub, in a shell. */
function cliOf(running: Muster, program: string): { command: string; run(...args: string[]): string } {
  const config = join(running.folder, "muster-env");
  writeFileSync(
    config,
    `export MUSTER_URL=${running.hubUrl} MUSTER_TOKEN_FILE=${running.tokenFile}\nmuster() { "${process.execPath}" "${program}" "$@"; }\n`,
  );
  return {
    command: `. ${config}`,
    run(...args) {
      const colour = process.stdout.isTTY && !process.env["NO_COLOR"] ? ["--color=always"] : [];
      const result = spawnSync(process.execPath, [program, ...args, ...colour], {
        encoding: "utf8",
        env: { ...process.env, MUSTER_URL: running.hubUrl, MUSTER_TOKEN_FILE: running.tokenFile },
      });
      return `${result.stdout}${result.stderr}`;
    },
  };
}

function showFleet(cli: { run(...args: string[]): string }): void {
  for (const args of [["status"], ["get", "clusters"], ["get", "targets"]]) {
    say(`$ muster ${args.join(" ")}`);
    say(cli.run(...args));
  }
}

function instructions(running: Muster, cli: { command: string }): string {
  const [eu] = running.clusters.all;
  const kubectl = (name: string) => `kubectl --kubeconfig ${running.clusters.get(name).kubeconfigPath}`;
  const podinfo = `${eu?.url}/api/v1/namespaces/web/configmaps/podinfo`;
  return `The hub's API     ${running.hubUrl}/openapi.json (token in ${running.tokenFile})
The fleet in Git  ${running.repository.url}, with a work tree in ${running.repository.workTree}

Things to try, in another shell; first of all, the CLI and the work tree:

  ${cli.command}
  cd ${running.repository.workTree}
  muster status; muster get targets -o wide

A commit (this hub polls every 5 s; a webhook of the Git host would make it look at once):

  sed -i.bak 's/hello from muster/hello from you/' apps/podinfo/bundle.yaml
  git commit -qam "Say hello" && git push -q origin HEAD
  muster get revisions --watch        # Ctrl-C ends it

Drift: edit something in a cluster, and see it come back:

  ${kubectl(eu?.name ?? "")} -n web edit configmap podinfo
  curl -sSK ${curlConfig(running, eu?.name ?? "")} -X DELETE ${podinfo}    # the same without kubectl
  muster get events --cluster ${eu?.name}

Another label in Git brings the production bundles to the lab:

  sed -i.bak 's/env: lab/env: prod/' clusters/lab.yaml
  git commit -qam "Promote the lab" && git push -q origin HEAD
  muster get targets --cluster lab-1 --watch        # Ctrl-C ends it

They leave again, but for the CRD: deleting it would take all its objects along, so it waits for an approval in Git:

  git revert --no-edit HEAD && git push -q origin HEAD
  muster describe cluster lab-1

No broker: agents go on with what they have.

  kill -STOP ${running.nats.pid}
  muster status
  kill -CONT ${running.nats.pid}

No kubelet runs here: a stand-in reports Deployments as available. Everything else is real. Ctrl-C ends it all.`;
}

/** What curl needs to speak to a cluster as its administrator; in a file, because arguments can be seen by everybody. */
function curlConfig(running: Muster, cluster: string): string {
  const { adminToken, caPem } = running.clusters.get(cluster);
  const [path, caPath] = [join(running.folder, `curl-${cluster}`), join(running.folder, `ca-${cluster}.pem`)];
  writeFileSync(caPath, caPem);
  writeFileSync(path, `header = "Authorization: Bearer ${adminToken}"\ncacert = "${caPath}"\n`, { mode: 0o600 });
  return path;
}

async function tour(running: Muster): Promise<void> {
  for (const [index, step] of TOUR.entries()) {
    say(`${index + 1}. ${step.title}`);
    try {
      say(`   ${await step.run(running)}\n`);
    } catch (error) {
      throw new Error(`step ${index + 1}, “${step.title}”: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }
  await fleetHealthy(running, 60_000);
  const { total, unexplained } = await running.deletions();
  if (unexplained.length > 0) throw new Error(`deletions that no signed slice explains: ${unexplained.join("; ")}`);
  say(`By the API servers' audit logs the agents have deleted ${total} objects, each of which had left a signed slice.`);
  say(`All ${TOUR.length} steps came out as they must, and the fleet is healthy.`);
}
