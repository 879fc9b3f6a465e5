import type { IConfiguration, IForbiddenRuleType, IRegularForbiddenRuleType } from "dependency-cruiser";

const SOURCE = "^(shared|hub|agent)/";
const TEST = "(\\.test\\.ts$|/testing/|^test/)";
const PURE = "^(shared/src/(model|wire|expression)|hub/src/(yaml|fleet|release)|agent/src/plan)/";

/** Modules of Node that reach the outside world, the clock or chance. `crypto` is for digests and signatures (shared/wire only). */
const IO_CORE =
  "^(node:)?(fs|net|http|https|http2|tls|dgram|dns|child_process|cluster|worker_threads|os|process|timers|perf_hooks|readline|inspector|sqlite|v8|vm|async_hooks)(/|$)";

/** A folder of a package below node_modules; nested copies too. */
const npm = (...names: string[]) => `node_modules/(${names.join("|")})/`;

type From = IRegularForbiddenRuleType["from"];
type To = IRegularForbiddenRuleType["to"];

function rule(name: string, comment: string, from: From, to: To): IForbiddenRuleType {
  return { name, comment, severity: "error", from, to };
}

/** A client library is named in one folder per side, so that swapping it touches that folder. */
function clientLibrary(name: string, packages: string[], folders: string[]): IForbiddenRuleType {
  return rule(
    `only-here-${name}`,
    `${name} is named in ${folders.join(", ")} only: swapping the library, or mapping its errors, touches that folder and no other.`,
    { path: SOURCE, pathNot: [TEST, `^(${folders.join("|")})/`] },
    { path: npm(...packages) },
  );
}

/** Data goes one way: a stage knows the types of the stages before it and nothing of those after it. */
function stages(side: "hub" | "agent", order: string[]): IForbiddenRuleType[] {
  return order
    .slice(0, -1)
    .map((stage, index) =>
      rule(
        `one-way-${side}-${stage}`,
        `Data goes one way: ${side}/src/${stage} may know the stages before it, never a later one (${order.slice(index + 1).join(", ")}).`,
        { path: `^${side}/src/${stage}/`, pathNot: TEST },
        { path: `^${side}/src/(${order.slice(index + 1).join("|")})/` },
      ),
    );
}

/** The house rules about who may know whom. Every rule carries its reason: that is what a developer reads when it fires. */
export const DEPENDENCY_RULES: IConfiguration = {
  forbidden: [
    rule(
      "model-imports-nothing",
      "shared/model is the vocabulary that everything else is written in; if it imported something, everything would depend on that.",
      { path: "^shared/src/model/", pathNot: TEST },
      { pathNot: "^shared/src/model/" },
    ),
    rule(
      "pure-folders-do-no-io",
      "model, wire, expression, yaml, fleet, release and plan decide and never act: their tests need no server, and equal inputs give equal outputs.",
      { path: PURE, pathNot: TEST },
      { path: IO_CORE },
    ),
    rule(
      "pure-folders-use-no-clients",
      "A pure folder that knows a client library or an acting folder can act.",
      { path: PURE, pathNot: TEST },
      {
        path: [
          npm(
            "nats",
            "undici",
            "fastify",
            "pino",
            "isomorphic-git",
            "@grpc/[^/]+",
            "@kubernetes/[^/]+",
            "@prometheus-io/[^/]+",
            "@nats-io/[^/]+",
          ),
          "^shared/src/(rpc|runtime|telemetry)/",
          "^hub/src/(publish|agents|status|api|identity)/",
          "^agent/src/(pull|apply|observe|report)/",
        ],
      },
    ),
    rule(
      "hub-never-imports-agent",
      "Hub and agent meet in proto/ and shared/ only; they are installed, upgraded and attacked separately.",
      { path: "^hub/" },
      { path: "^agent/" },
    ),
    rule(
      "agent-never-imports-hub",
      "Hub and agent meet in proto/ and shared/ only; the agent stays small because it carries nothing of the hub.",
      { path: "^agent/" },
      { path: "^hub/" },
    ),
    rule(
      "shared-imports-neither-side",
      "shared/ is below both sides; knowing one of them would drag it into the other.",
      { path: "^shared/" },
      { path: "^(hub|agent|test)/" },
    ),
    rule(
      "hub-never-imports-cli",
      "The CLI is a client of the hub's HTTP API and gets nothing that others do not.",
      { path: "^hub/src/" },
      { path: "^hub/cli/" },
    ),
    rule(
      "cli-speaks-http-only",
      "Live answers come over the HTTP API. `muster render` and `validate` work offline on a checkout, for which the CLI may use the hub's pure stages and its renderer, and no more.",
      { path: "^hub/cli/", pathNot: TEST },
      { path: "^(hub/src/(publish|agents|status|identity|api)/|hub/src/(main|config)\\.ts|agent/)" },
    ),
    rule(
      "shared-by-its-front-doors",
      "@muster/shared/{model,wire,rpc,errors,expression,runtime,telemetry} are the public surfaces; a file behind one of them may move.",
      { path: "^(hub|agent|test)/" },
      { path: "^shared/src/", pathNot: ["^shared/src/[a-z]+/index\\.ts$", "^shared/src/[a-z]+/generate-[a-z-]+\\.ts$"] },
    ),
    ...stages("hub", ["source", "fleet", "render", "policy", "release", "publish"]),
    ...stages("hub", ["agents", "status", "api"]),
    ...stages("agent", ["pull", "plan"]),
    rule(
      "one-way-agent-plan-apply",
      "Data goes one way: pull and plan know nothing of applying, observing and reporting.",
      { path: "^agent/src/(pull|plan)/", pathNot: TEST },
      { path: "^agent/src/(apply|observe|report)/" },
    ),
    rule(
      "one-way-agent-apply-observe",
      "Applying tells the observer what to expect, and so knows its interface; observing knows nothing of applying, and neither knows reporting.",
      { path: "^agent/src/(apply|observe)/", pathNot: TEST },
      { path: ["^agent/src/report/"] },
    ),
    rule(
      "one-way-agent-observe",
      "See one-way-agent-apply-observe: the other way round would be a circle.",
      { path: "^agent/src/observe/", pathNot: TEST },
      { path: "^agent/src/(apply|pull)/" },
    ),
    rule(
      "yaml-is-below",
      "Reading YAML as Go does knows nothing of what it says; fleet documents and rendered output are read by the same rules.",
      { path: "^hub/src/yaml/", pathNot: TEST },
      { path: "^hub/src/(?!yaml/)" },
    ),
    rule(
      "kube-is-below",
      "The Kubernetes client knows nothing of what Muster does with it; another client is a folder's work.",
      { path: "^agent/src/kube/", pathNot: TEST },
      { path: "^agent/src/(pull|plan|apply|observe|report)/" },
    ),
    clientLibrary("isomorphic-git", ["isomorphic-git"], ["hub/src/source"]),
    clientLibrary("nats", ["nats"], ["hub/src/publish", "agent/src/pull"]),
    clientLibrary("grpc", ["@grpc/[^/]+"], ["hub/src/agents", "agent/src/report", "shared/src/rpc"]),
    clientLibrary("kubernetes", ["@kubernetes/[^/]+"], ["agent/src/kube"]),
    clientLibrary("undici", ["undici"], ["agent/src/kube", "hub/src/source", "hub/cli"]),
    clientLibrary("pino-and-prometheus", ["pino", "@prometheus-io/[^/]+"], ["shared/src/telemetry"]),
    clientLibrary("jwt-and-x509", ["@nats-io/(jwt|nkeys)", "@peculiar/[^/]+"], ["hub/src/identity"]),
    clientLibrary("fastify", ["fastify", "@fastify/[^/]+", "fastify-type-provider-zod"], ["hub/src/api"]),
    clientLibrary("commander", ["commander"], ["hub/cli"]),
    clientLibrary("cel", ["@marcbachmann/cel-js"], ["shared/src/expression"]),
    rule(
      "only-main-composes",
      "main.ts is the composition root: what it puts together does not know it.",
      { path: SOURCE, pathNot: TEST },
      { path: "^(hub|agent|hub/cli)/src/main\\.ts$" },
    ),
    rule("production-never-imports-tests", "Tests and the rig are not shipped.", { path: SOURCE, pathNot: TEST }, { path: TEST }),
    rule("no-circles", "Two files that need each other are one concept, or lack a third that both need.", {}, { circular: true }),
    rule(
      "no-orphans",
      "A file that nobody imports and that starts nothing is dead.",
      { orphan: true, path: SOURCE, pathNot: [TEST, "/src/main\\.ts$", "^shared/src/rpc/gen/", "/generate-[a-z-]+\\.ts$"] },
      {},
    ),
    rule(
      "only-declared-packages",
      "A package that is there by accident (hoisted from somebody else's dependencies) is gone after the next update.",
      { path: SOURCE, pathNot: TEST },
      // Our own workspaces are links out of node_modules and have paths of their own.
      { path: "node_modules/", dependencyTypes: ["npm-no-pkg", "npm-unknown", "npm-dev", "unknown", "undetermined"] },
    ),
    rule("resolvable", "An import that leads nowhere fails at start.", {}, { couldNotResolve: true }),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)(dist|coverage)/|/fixtures/" },
    tsPreCompilationDeps: true,
    combinedDependencies: false,
    tsConfig: { fileName: "tsconfig.base.json" },
    detectProcessBuiltinModuleCalls: true,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
      mainFields: ["module", "main", "types"],
    },
  },
};
