import { join } from "node:path";
import { resolveBinary } from "./binaries.ts";
import { type Part, startPart } from "./child-process-part.ts";
import { freePort } from "./free-port.ts";
import type { KubeApiserver } from "./kube-apiserver.ts";
import { createTempFolder } from "./temp-folder.ts";

/** Runs a real kube-controller-manager with chosen controllers (names as its `--controllers` has them) against an API server. */
export async function startKubeControllerManager(
  apiserver: KubeApiserver,
  controllers: readonly string[],
  flags: readonly string[] = [],
): Promise<Part> {
  const folder = createTempFolder("controller-manager");
  const port = await freePort();
  const part = await startPart({
    name: "kube-controller-manager",
    command: await resolveBinary("kube-controller-manager"),
    args: [
      `--kubeconfig=${apiserver.kubeconfigPath}`,
      `--authentication-kubeconfig=${apiserver.kubeconfigPath}`,
      `--authorization-kubeconfig=${apiserver.kubeconfigPath}`,
      "--bind-address=127.0.0.1",
      `--secure-port=${port}`,
      `--cert-dir=${join(folder.path, "certs")}`,
      "--leader-elect=false",
      `--controllers=${controllers.join(",")}`,
      ...flags,
    ],
    env: { GOGC: "50" },
    cwd: folder.path,
    logPath: join(folder.path, "controller-manager.log"),
    ports: [port],
    ready: async () => {
      const { connect } = await import("node:net");
      await new Promise<void>((resolve, reject) => {
        const socket = connect(port, "127.0.0.1", () => {
          socket.destroy();
          resolve();
        });
        socket.once("error", reject);
      });
    },
  });
  return Object.assign(Object.create(part) as Part, {
    async stop() {
      await part.stop();
      folder.remove();
    },
  });
}
