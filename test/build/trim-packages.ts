import type { Plugin } from "esbuild";

/**
 * Leaves out of a bundle what it never runs but would load: every module of a bundle costs memory as soon as it starts,
 * and an agent runs in every cluster. Together this takes about 15 MiB off an agent.
 */
export const trimPackages: Plugin = {
  name: "trim-packages",
  setup(build) {
    // We use KubeConfig only. The package does not say so, but its hundreds of generated API classes do nothing when loaded.
    build.onResolve({ filter: /^\.{1,2}\// }, async ({ path, importer, resolveDir, kind, pluginData }) => {
      if (pluginData === "resolving" || !importer.includes("/@kubernetes/client-node/")) return undefined;
      const resolved = await build.resolve(path, { importer, resolveDir, kind, pluginData: "resolving" });
      return { ...resolved, sideEffects: false };
    });

    // Error messages in fifty languages; ours are English.
    build.onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, () => ({
      contents: 'export { default as en } from "./en.js";',
      loader: "js",
    }));

    // The HTTP client's test doubles, and browser interfaces that Node has itself.
    build.onLoad({ filter: /\/undici\/lib\/(mock|web\/(websocket|eventsource)|cache)\// }, () => ({
      contents: "module.exports = {};",
      loader: "js",
    }));
  },
};
