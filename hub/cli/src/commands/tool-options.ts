import type { Command } from "commander";

/** Options of the commands that render. */
export interface ToolOptions {
  readonly helm?: string;
  readonly kustomize?: string;
  readonly kubernetesVersion?: string;
}

/** Adds what the renderer can be told. */
export function addToolOptions(command: Command): Command {
  return command
    .option("--helm <path>", "helm to render with (default: the one in PATH)")
    .option("--kustomize <path>", "kustomize to render with (default: the one in PATH)")
    .option("--kubernetes-version <version>", "version that charts see, for example v1.36.0");
}

/** Leaves out what was not given. */
export function toolOptions({ helm, kustomize, kubernetesVersion }: ToolOptions): ToolOptions {
  return { ...(helm && { helm }), ...(kustomize && { kustomize }), ...(kubernetesVersion && { kubernetesVersion }) };
}
