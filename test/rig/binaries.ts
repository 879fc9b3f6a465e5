import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { currentMinor, KUBERNETES, type KubernetesMinor } from "./kubernetes.ts";
import { RigError } from "./rig-error.ts";

const run = promisify(execFile);

/** One real program: which pinned Go module builds it, and how it tells its version. */
interface Tool {
  /** Folder under `tools/` that pins the module. */
  readonly module: string;
  /** Go package of the command. */
  readonly package: string;
  /** Version that the module pins; the environment's program must have the same minor. */
  readonly version: string;
  readonly versionArgs: readonly string[];
  readonly ldflags?: string;
  /** How long the build takes on two cores with empty caches, for people. */
  readonly about: string;
}

const TOOLS = {
  "nats-server": {
    module: "nats-server",
    package: "github.com/nats-io/nats-server/v2",
    version: "2.15.2",
    versionArgs: ["--version"],
    about: "35 s",
  },
  etcd: { module: "etcd", package: "go.etcd.io/etcd/server/v3", version: "3.6.16", versionArgs: ["--version"], about: "25 s" },
  kustomize: {
    module: "kustomize",
    package: "sigs.k8s.io/kustomize/kustomize/v5",
    version: "5.8.2",
    versionArgs: ["version"],
    about: "30 s",
  },
  helm: {
    module: "helm",
    package: "helm.sh/helm/v4/cmd/helm",
    version: "4.3.1",
    versionArgs: ["version", "--short"],
    ldflags: "-X helm.sh/helm/v4/internal/version.version=v4.3.1",
    about: "2 min",
  },
} as const satisfies Record<string, Tool>;

/** Programs that there are of several minor versions, with the time that their build takes. */
const KUBERNETES_TOOLS = { "kube-apiserver": "4 min", "kube-controller-manager": "1 min" } as const;

function kubernetesTool(name: keyof typeof KUBERNETES_TOOLS, minor: KubernetesMinor): Tool {
  const { version, module } = KUBERNETES[minor];
  return {
    module,
    package: `k8s.io/kubernetes/cmd/${name}`,
    version,
    versionArgs: ["--version"],
    ldflags: kubernetesVersion(version),
    about: KUBERNETES_TOOLS[name],
  };
}

function isKubernetesTool(name: ToolName): name is keyof typeof KUBERNETES_TOOLS {
  return Object.hasOwn(KUBERNETES_TOOLS, name);
}

/** Without these the API server calls itself v0.0.0, and charts that ask for a version fail. */
function kubernetesVersion(version: string): string {
  const [major, minor] = version.split(".");
  const at = "k8s.io/component-base/version";
  return `-X ${at}.gitVersion=v${version} -X ${at}.gitMajor=${major} -X ${at}.gitMinor=${minor}`;
}

/** A program that the rig runs. */
export type ToolName = keyof typeof TOOLS | keyof typeof KUBERNETES_TOOLS;
const ALL_TOOLS = [...Object.keys(TOOLS), ...Object.keys(KUBERNETES_TOOLS)] as ToolName[];

/**
 * The path of a real program: from the environment (`KUBEBUILDER_ASSETS`, then `PATH` where the version fits), from the
 * user's cache folder, or built from its pinned Go module, with progress on standard error. Programs of Kubernetes are those of
 * `minor`, by default of {@link currentMinor}. Throws RIG_GO_MISSING or RIG_BUILD_FAILED.
 */
export async function resolveBinary(name: ToolName, minor: KubernetesMinor = currentMinor()): Promise<string> {
  const tool: Tool = isKubernetesTool(name) ? kubernetesTool(name, minor) : TOOLS[name];
  const key = `${name}-${tool.version}`;
  const found =
    resolved.get(key) ??
    find(name, tool).catch((error: unknown) => {
      resolved.delete(key);
      throw error;
    });
  resolved.set(key, found);
  return found;
}

const resolved = new Map<string, Promise<string>>();

/** Makes sure that all of the programs are there, one build after the other. */
export async function ensureBinaries(names: readonly ToolName[] = ALL_TOOLS): Promise<Record<string, string>> {
  const paths: Record<string, string> = {};
  for (const name of names) paths[name] = await resolveBinary(name);
  return paths;
}

async function find(name: ToolName, tool: Tool): Promise<string> {
  const fromEnvironment = await findInEnvironment(name, tool);
  if (fromEnvironment) return fromEnvironment;
  const go = await goVersion();
  const moduleFolder = join(import.meta.dirname, "tools", tool.module);
  const key = createHash("sha256")
    .update(readFileSync(join(moduleFolder, "go.mod")))
    .update(readFileSync(join(moduleFolder, "go.sum")))
    .update(JSON.stringify([go, tool.package, tool.ldflags ?? "", process.platform, process.arch]))
    .digest("hex")
    .slice(0, 16);
  const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "muster", "rig");
  const folder = join(cache, `${name}-${tool.version}-${key}`);
  const path = join(folder, name);
  if (existsSync(path)) return path;
  const built = go ? undefined : findBuilt(cache, name, tool);
  if (built) return built;
  if (!go)
    throw new RigError(
      "RIG_GO_MISSING",
      `Go 1.26 or newer is needed to build ${name} ${tool.version}; install it, or put ${name} into PATH.`,
    );
  mkdirSync(folder, { recursive: true });
  await withLock(join(folder, "lock"), async () => {
    if (!existsSync(path)) await build({ name, tool, moduleFolder, path });
  });
  return path;
}

async function findInEnvironment(name: ToolName, tool: Tool): Promise<string | undefined> {
  const folders = [process.env["KUBEBUILDER_ASSETS"], ...(process.env["PATH"] ?? "").split(delimiter)];
  for (const folder of folders) {
    if (!folder) continue;
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      if (!statSync(path).isFile()) continue;
      const { stdout, stderr } = await run(path, [...tool.versionArgs], { timeout: 10_000 });
      const minor = tool.version.split(".").slice(0, 2).join("\\.");
      if (new RegExp(`\\bv?${minor}\\.\\d`).test(stdout + stderr)) return path;
    } catch {
      // Not there, or it cannot tell its version: the next place.
    }
  }
  return undefined;
}

async function goVersion(): Promise<string | undefined> {
  try {
    const { stdout } = await run("go", ["env", "GOVERSION"], { timeout: 10_000 });
    const version = stdout.trim();
    const [, major, minor] = /^go(\d+)\.(\d+)/.exec(version) ?? [];
    return Number(major) > 1 || Number(minor) >= 26 ? version : undefined;
  } catch {
    return undefined;
  }
}

/** Without Go, a program of the right version that another Go has built serves as well. */
function findBuilt(cache: string, name: ToolName, tool: Tool): string | undefined {
  if (!existsSync(cache)) return undefined;
  return readdirSync(cache)
    .filter((folder) => folder.startsWith(`${name}-${tool.version}-`))
    .map((folder) => join(cache, folder, name))
    .find((path) => existsSync(path));
}

async function build(job: { name: string; tool: Tool; moduleFolder: string; path: string }): Promise<void> {
  const { name, tool, moduleFolder, path } = job;
  const started = performance.now();
  const seconds = () => `${Math.round((performance.now() - started) / 1000)} s`;
  say(`building ${name} v${tool.version} from its Go module (once, about ${tool.about})`);
  const partial = `${path}.${process.pid}.partial`;
  const args = ["build", "-trimpath", `-ldflags=-s -w ${tool.ldflags ?? ""}`, "-o", partial, tool.package];
  const child = spawn("go", args, { cwd: moduleFolder, env: { ...process.env, CGO_ENABLED: "0" }, stdio: ["ignore", "ignore", "pipe"] });
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-4_000);
  });
  const ended = new Promise<number>((resolve) => {
    child.once("error", () => resolve(127));
    child.once("exit", (code) => resolve(code ?? 1));
  });
  let code: number | undefined;
  void ended.then((value) => {
    code = value;
  });
  while (code === undefined) {
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([ended, new Promise((resolve) => (timer = setTimeout(resolve, 15_000)))]);
    clearTimeout(timer);
    if (code === undefined) say(`  still building ${name}, ${seconds()}`);
  }
  if (code !== 0) {
    rmSync(partial, { force: true });
    throw new RigError("RIG_BUILD_FAILED", `go build of ${name} failed (exit ${code}):\n${errors.trim()}`);
  }
  renameSync(partial, path);
  say(`built ${name} in ${seconds()}`);
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Two processes must not build the same program at once. A lock of a process that is gone does not count. */
async function withLock(path: string, task: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: "wx" });
      break;
    } catch {
      if (isStale(path)) rmSync(path, { force: true });
      else await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
  try {
    await task();
  } finally {
    rmSync(path, { force: true });
  }
}

function isStale(path: string): boolean {
  try {
    process.kill(Number(readFileSync(path, "utf8")), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "EPERM" && existsSync(path);
  }
}
