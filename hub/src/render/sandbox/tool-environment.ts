import { join } from "node:path";

/** A port on which nothing listens: 9 is "discard", and a proxy there answers nobody. */
const CLOSED_PROXY = "http://127.0.0.1:9";

/**
 * The whole environment of a tool; nothing of the hub's own gets in. Every folder it might look into is in the private
 * one, PATH is an empty folder (no git, no credential helpers, no plugins), and HTTP goes to a proxy that does not exist.
 */
export function toolEnvironment(folder: string, maxMemoryBytes: number): Record<string, string> {
  const home = join(folder, "home");
  const proxies = Object.fromEntries(
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].flatMap((name) => [
      [name, CLOSED_PROXY],
      [name.toLowerCase(), CLOSED_PROXY],
    ]),
  );
  return {
    ...proxies,
    PATH: join(folder, "bin"),
    HOME: home,
    TMPDIR: join(folder, "tmp"),
    LANG: "C.UTF-8",
    // "Local" in a template must mean the same on every hub, and in `muster render` on a laptop.
    TZ: "UTC",
    XDG_CACHE_HOME: join(home, "cache"),
    XDG_CONFIG_HOME: join(home, "config"),
    XDG_DATA_HOME: join(home, "data"),
    HELM_CACHE_HOME: join(home, "helm-cache"),
    HELM_CONFIG_HOME: join(home, "helm-config"),
    HELM_DATA_HOME: join(home, "helm-data"),
    HELM_PLUGINS: join(home, "helm-plugins"),
    KUSTOMIZE_PLUGIN_HOME: join(home, "kustomize-plugins"),
    KUBECONFIG: join(home, "no-kubeconfig"),
    GIT_TERMINAL_PROMPT: "0",
    // A soft limit: the collector works harder before the hard one is reached.
    GOMEMLIMIT: String(Math.floor(maxMemoryBytes * 0.8)),
  };
}
