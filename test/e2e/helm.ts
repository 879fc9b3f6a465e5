import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { resolveBinary } from "../rig/binaries.ts";
import { createTempFolder } from "../rig/temp-folder.ts";

const run = promisify(execFile);

/** A chart of this repository. */
export type ChartName = "hub" | "agent";

/** Options of {@link helmRelease}. */
export interface HelmReleaseOptions {
  readonly chart: ChartName;
  readonly release: string;
  readonly namespace: string;
  /** Kubeconfig of the cluster. `template` needs none. */
  readonly kubeconfig?: string;
}

/** The real helm, for one release. Every method throws an Error with what helm wrote if it fails. */
export interface HelmRelease {
  /** Gives the notes. */
  install(values: object): Promise<string>;
  upgrade(values: object): Promise<string>;
  uninstall(): Promise<void>;
  /** Gives the manifests as YAML. */
  template(values: object): Promise<string>;
  /** `--strict`. */
  lint(values: object): Promise<string>;
}

export function helmRelease(options: HelmReleaseOptions): HelmRelease {
  const { chart, release, namespace, kubeconfig } = options;
  const folder = createTempFolder(`helm-${release}`);
  const chartPath = fileURLToPath(new URL(`../../charts/${chart}`, import.meta.url));
  const home = (name: string) => join(folder.path, name);
  const env = {
    PATH: process.env["PATH"],
    HOME: folder.path,
    HELM_CACHE_HOME: home("cache"),
    HELM_CONFIG_HOME: home("config"),
    HELM_DATA_HOME: home("data"),
    ...(kubeconfig && { KUBECONFIG: kubeconfig }),
  };
  let files = 0;

  async function helm(args: readonly string[], values?: object): Promise<string> {
    files += 1;
    const valuesPath = join(folder.path, `values-${files}.json`);
    // Values hold private keys: a file, never an argument.
    if (values) writeFileSync(valuesPath, JSON.stringify(values), { mode: 0o600 });
    try {
      const { stdout } = await run(await resolveBinary("helm"), [...args, ...(values ? ["--values", valuesPath] : [])], {
        env,
        maxBuffer: 16 * 1024 * 1024,
      });
      return stdout;
    } catch (error) {
      const { stdout, stderr } = error as { stdout?: string; stderr?: string };
      throw new Error(`helm ${args[0]} failed: ${stderr ?? ""}${stdout ?? ""}`, { cause: error });
    }
  }

  return {
    install: (values) => helm(["install", release, chartPath, "--namespace", namespace, "--create-namespace"], values),
    upgrade: (values) => helm(["upgrade", release, chartPath, "--namespace", namespace], values),
    async uninstall() {
      await helm(["uninstall", release, "--namespace", namespace]);
    },
    template: (values) => helm(["template", release, chartPath, "--namespace", namespace], values),
    lint: (values) => helm(["lint", "--strict", chartPath, "--namespace", namespace], values),
  };
}
