import type { ClusterCapabilities } from "../renderer.ts";
import type { ChartFacts } from "./chart-facts.ts";

const KUBERNETES_VERSION = /^v?\d+\.\d+(?:\.\d+)?(?:[-+][\w.+-]+)?$/;
const API_VERSION = /^[\w.-]+(?:\/[\w.-]+){0,2}$/;

/** Linux takes 128 KiB for one argument (MAX_ARG_STRLEN), whatever all of them may have together. */
const MAX_ARGUMENT_CHARACTERS = 64 * 1024;

/** Flags that tell helm of the cluster. A chart that does not look at its capabilities gets the default ones, once for all clusters. */
export function capabilityFlags(facts: ChartFacts, capabilities: ClusterCapabilities, defaultVersion: string): string[] {
  const reported = capabilities.kubernetesVersion ?? "";
  const version = facts.usesCapabilities && KUBERNETES_VERSION.test(reported) ? reported : defaultVersion;
  const apiVersions = facts.usesCapabilities
    ? [...new Set(capabilities.apiVersions)].filter((name) => name.length <= 1_000 && API_VERSION.test(name)).sort()
    : [];
  return [`--kube-version=${version}`, ...inArguments("--api-versions=", apiVersions)];
}

/** Names in as few arguments as the system takes. */
function inArguments(flag: string, names: readonly string[]): string[] {
  const flags: string[] = [];
  for (const name of names) {
    const last = flags.at(-1);
    if (last !== undefined && last.length + name.length < MAX_ARGUMENT_CHARACTERS) flags[flags.length - 1] = `${last},${name}`;
    else flags.push(`${flag}${name}`);
  }
  return flags;
}
