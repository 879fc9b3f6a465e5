import { Agent, request } from "undici";
import type { KubeApiserver } from "../rig/kube-apiserver.ts";
import { fullRights } from "../rig/muster.ts";

/** As many as the agent uses by default. */
const CONNECTIONS = 16;

/**
 * The floor of a full sync on this machine: milliseconds that nothing but the same server-side applies take, by a client that
 * reads no answer, watches nothing and remembers nothing. First those that create, then each round of those that change.
 */
export async function timeBareApplies(
  apiserver: KubeApiserver,
  count: number,
  rounds: number,
): Promise<{ readonly creating: number; readonly changing: number[] }> {
  await apiserver.admin.request("POST", "/api/v1/namespaces", { metadata: { name: "bare" } });
  const token = await fullRights(apiserver);
  const dispatcher = new Agent({ connections: CONNECTIONS, connect: { ca: apiserver.caPem } });
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/apply-patch+yaml" };
  const applyOne = async (index: number, stamp: string) => {
    const name = `bare-${index}`;
    // No agent's: none watches them.
    const labels = { "example.com/bundle": "bare" };
    const manifest = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name, namespace: "bare", labels },
      data: { stamp, pad: "x".repeat(150) },
    };
    const url = `${apiserver.url}/api/v1/namespaces/bare/configmaps/${name}?fieldManager=bare&force=true&fieldValidation=Strict`;
    const { statusCode, body } = await request(url, { method: "PATCH", headers, body: JSON.stringify(manifest), dispatcher });
    await body.dump();
    if (statusCode >= 300) throw new Error(`a bare apply was answered with ${statusCode}`);
  };
  const times: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const started = performance.now();
    let next = 0;
    const work = async () => {
      while (next < count) await applyOne(next++, `b${round}`);
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, work));
    times.push(performance.now() - started);
  }
  await dispatcher.close();
  const [creating = 0, ...changing] = times;
  return { creating, changing };
}
