import { RigError } from "./rig-error.ts";

/** Kubernetes as it is pinned for one minor version. */
export interface PinnedKubernetes {
  readonly version: string;
  /** Folder under `tools/` that pins the module. */
  readonly module: string;
}

/** The minor versions that tests run on: the one that everything runs on, and an older one that many clusters still have. */
export const KUBERNETES = {
  "1.36": { version: "1.36.3", module: "kubernetes" },
  "1.34": { version: "1.34.4", module: "kubernetes-1.34" },
} as const satisfies Record<string, PinnedKubernetes>;

/** For example `1.36`. */
export type KubernetesMinor = keyof typeof KUBERNETES;

/** What a whole run is to be on; see {@link currentMinor}. */
export const KUBERNETES_VARIABLE = "MUSTER_KUBE_VERSION";
export const DEFAULT_MINOR = "1.36" satisfies KubernetesMinor;
export const OLDER_MINOR = "1.34" satisfies KubernetesMinor;

/** The minor version that API servers are started in unless told otherwise. Throws RIG_KUBERNETES_UNKNOWN. */
export function currentMinor(): KubernetesMinor {
  const asked = process.env[KUBERNETES_VARIABLE] ?? "";
  if (asked === "") return DEFAULT_MINOR;
  if (Object.hasOwn(KUBERNETES, asked)) return asked as KubernetesMinor;
  throw new RigError("RIG_KUBERNETES_UNKNOWN", `${KUBERNETES_VARIABLE} is ${asked}; pinned are ${Object.keys(KUBERNETES).join(" and ")}.`);
}
