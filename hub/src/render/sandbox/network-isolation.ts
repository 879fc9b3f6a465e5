import { spawn } from "node:child_process";
import { CodedError } from "@muster/shared/errors";
import { findTool } from "./find-tool.ts";

const OPTIONS = ["--user", "--map-root-user", "--net", "--"] as const;

let probed: Promise<readonly string[]> | undefined;

/**
 * What to put before a command so that it runs in a network namespace of its own, where not even loopback is up. Empty
 * where the kernel or the container's seccomp profile does not allow it (a container without user namespaces): there, the
 * checks of charts and kustomizations before the run, and the proxy settings, are what keeps a render off the network.
 * Found out once per process: what goes wrong later is a failure of that run, never a reason to run without isolation.
 */
export function networkIsolation(): Promise<readonly string[]> {
  probed ??= probe();
  return probed;
}

/**
 * Whether tools run without a network. Throws CONFIG_INVALID if they must and cannot; `isolation` is what
 * {@link networkIsolation} found.
 */
export async function checkNetworkIsolation(wanted: "prefer" | "require", isolation = networkIsolation()): Promise<boolean> {
  const isolated = (await isolation).length > 0;
  if (!isolated && wanted === "require") {
    throw new CodedError(
      "CONFIG_INVALID",
      "render.networkIsolation is require, but this machine lets the hub make no network namespace (unshare --user --net fails)",
    );
  }
  return isolated;
}

async function probe(): Promise<readonly string[]> {
  if (process.platform !== "linux") return [];
  const unshare = await findTool("unshare").catch(() => undefined);
  const nothing = await findTool("true").catch(() => undefined);
  if (!unshare || !nothing) return [];
  return await new Promise((resolve) => {
    const child = spawn(unshare.path, [...OPTIONS, nothing.path], { stdio: "ignore", env: {}, timeout: 5_000 });
    child.once("error", () => resolve([]));
    child.once("exit", (code) => resolve(code === 0 ? [unshare.path, ...OPTIONS] : []));
  });
}
