import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { createAgentKeys, questionOf } from "../../agent/src/identity/agent-keys.ts";
import { enroll } from "../../agent/src/report/enrolment-client.ts";
import { forEachLimited } from "../../shared/src/runtime/index.ts";
import { ensureBinaries } from "../rig/binaries.ts";
import { startMuster } from "../rig/muster.ts";
import { readScriptOptions } from "../script-options.ts";
import { percentiles } from "./statistics.ts";

/**
 * `npm run bench:enrolment [-- --agents N --json FILE]`: so many agents join at once: a token each, keys of their own, a connection of their
 * own. The hub and the connections of all agents share this machine; what is timed is from the first question to the last answer.
 */
const values = readScriptOptions(
  { name: "bench:enrolment", about: "Measures how fast agents join, beside the target." },
  {
    agents: { value: "N", default: "1000", help: "Agents that join at once." },
    json: { value: "FILE", help: "Where the figures are written." },
  },
);
const count = Number(values.agents);
if (!Number.isSafeInteger(count) || count < 1) {
  process.stderr.write("bench:enrolment: --agents is a whole number\n");
  process.exit(2);
}
const TARGET_SECONDS = 60;
/** Agents that are at it at the same time. */
const AT_ONCE = 32;

await ensureBinaries(["nats-server", "etcd"]);
const names = Array.from({ length: count }, (_, index) => `c${index}`);
const documents = names.map((name) => `apiVersion: muster.dev/v1alpha1\nkind: Cluster\nmetadata: { name: ${name} }\n`);
const muster = await startMuster({ clusters: [], files: { "clusters/all.yaml": documents.join("---\n") }, startAgents: false });
try {
  const tokens = new Map<string, string>();
  const began = performance.now();
  await forEachLimited(names, AT_ONCE, async (name) => {
    const { status, body } = await muster.api<{ token: string }>(`/agents/${name}/token`, { method: "POST", body: {} });
    if (status !== 201) throw new Error(`no token for ${name}: ${status}`);
    tokens.set(name, body.token);
  });
  const invited = performance.now();
  const ca = readFileSync(`${muster.folder}/hub/ca.pem`, "utf8");
  // Agents make their keys on their own machines.
  const questions = new Map(
    names.map((cluster) => [
      cluster,
      questionOf(createAgentKeys(), { cluster, trustDomain: "muster.local", token: tokens.get(cluster) ?? "" }),
    ]),
  );
  const ready = performance.now();
  const each: number[] = [];
  await forEachLimited(names, AT_ONCE, async (cluster) => {
    const started = performance.now();
    const question = questions.get(cluster);
    if (!question) throw new Error(`no keys for ${cluster}`);
    const keys = { ...question.keys, tls: Buffer.from(question.keys.tls), encryption: Buffer.from(question.keys.encryption) };
    const answer = await enroll(
      { address: muster.enrolAddress, ca },
      { ...question, keys, proof: Buffer.from(question.proof), natsProof: Buffer.from(question.natsProof) },
    );
    if (answer.outcome !== "admitted") throw new Error(`${cluster} was not admitted`);
    each.push(performance.now() - started);
  });
  const seconds = (performance.now() - ready) / 1_000;
  const figures = {
    agents: count,
    seconds: Math.round(seconds * 10) / 10,
    tokensMs: Math.round(invited - began),
    eachMs: percentiles(each),
  };
  if (values.json) writeFileSync(values.json, `${JSON.stringify(figures, null, 2)}\n`);
  const verdict = count === 1_000 ? `  < ${TARGET_SECONDS} s  ${seconds < TARGET_SECONDS ? "met" : "MISSED"}` : "";
  process.stdout.write(
    `${cpus().length} cores\n${count} agents have joined in ${figures.seconds} s${verdict}\n… each p50 / p99 ${figures.eachMs.p50} / ${figures.eachMs.p99} ms; ${count} tokens before that in ${figures.tokensMs} ms\n`,
  );
} finally {
  await muster.stop();
}
