import { type Etcd, startEtcd } from "./etcd.ts";
import { type KubeApiserver, type KubeApiserverOptions, startKubeApiserver } from "./kube-apiserver.ts";

/** API servers on one etcd. */
export interface Clusters {
  readonly etcd: Etcd;
  readonly all: readonly KubeApiserver[];
  /** Throws if there is none of that name. */
  get(name: string): KubeApiserver;
  stop(): Promise<void>;
}

/** Starts one API server per name, all at once, on one etcd. */
export async function startClusters(
  names: readonly string[],
  options: Pick<KubeApiserverOptions, "args" | "lowMemory" | "minor"> = {},
): Promise<Clusters> {
  const etcd = await startEtcd();
  const started = await Promise.allSettled(names.map((name) => startKubeApiserver({ ...options, name, etcdUrl: etcd.url })));
  const all = started.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const stop = async () => {
    await Promise.all(all.map((apiserver) => apiserver.stop()));
    await etcd.stop();
  };
  const failed = started.find((result) => result.status === "rejected");
  if (failed) {
    await stop();
    throw failed.reason;
  }
  return {
    etcd,
    all,
    get(name) {
      const found = all.find((apiserver) => apiserver.name === name);
      if (!found) throw new Error(`no cluster ${name}`);
      return found;
    },
    stop,
  };
}
