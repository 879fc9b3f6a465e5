import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { type Part, startPart } from "../rig/child-process-part.ts";
import { createTempFolder } from "../rig/temp-folder.ts";
import type { InstalledChart, Volume } from "./installed-chart.ts";

const run = promisify(execFile);

/** What the kubelet would give to the one container of a release: its arguments, its environment and its files. */
export interface PreparedContainer {
  readonly args: readonly string[];
  /** As rendered, except that paths of mounts lead into `root`. */
  readonly env: Readonly<Record<string, string>>;
  /** Folder that stands for the container's root. */
  readonly root: string;
  /** Paths in the container, of all files from Secrets and ConfigMaps, and their content as rendered. */
  readonly files: ReadonlyMap<string, string>;
  remove(): void;
}

/** A container that runs as a process on this machine. */
export interface RunningContainer extends Part {
  readonly container: PreparedContainer;
}

/**
 * Lays out the mounts of a release's pod in a folder. Mounted text that names a mount path (a configuration file does) has
 * it rewritten as well. A pod with a ServiceAccount token gets it as KUBECONFIG, since the in-cluster paths are fixed.
 */
export async function prepareContainer(installed: InstalledChart): Promise<PreparedContainer> {
  const { pod, apiserver, namespace } = installed;
  const [container] = pod.containers;
  if (!container || pod.containers.length !== 1) throw new Error(`the pod has ${pod.containers.length} containers`);
  const folder = createTempFolder("container");
  const pattern = pathPattern((container.volumeMounts ?? []).map((mount) => mount.mountPath));
  // In one go: the folder itself lies below /tmp, which is a mount.
  const inRoot = (text: string) => text.replaceAll(pattern, (mount) => join(folder.path, mount));

  const files = new Map<string, string>();
  for (const mount of container.volumeMounts ?? []) {
    const volume = pod.volumes?.find((candidate) => candidate.name === mount.name);
    if (!volume) throw new Error(`the mount ${mount.mountPath} has no volume`);
    mkdirSync(join(folder.path, mount.mountPath), { recursive: true });
    for (const [path, content] of await readVolume(installed, volume)) files.set(join(mount.mountPath, path), content);
  }
  for (const [path, content] of files) {
    mkdirSync(dirname(join(folder.path, path)), { recursive: true });
    writeFileSync(join(folder.path, path), inRoot(content), { mode: 0o440 });
  }

  const env: Record<string, string> = {};
  for (const { name, value, valueFrom } of container.env ?? []) {
    if (valueFrom) throw new Error(`the variable ${name} is not a plain value`);
    // The API server leaves empty values out.
    env[name] = inRoot(value ?? "");
  }
  if (pod.automountServiceAccountToken) {
    const token = await apiserver.serviceAccountToken(namespace, pod.serviceAccountName ?? "default");
    env["KUBECONFIG"] = apiserver.writeKubeconfig(`${namespace}-${pod.serviceAccountName}`, token);
  }
  return { args: container.args ?? [], env, root: folder.path, files, remove: () => folder.remove() };
}

/** Options of {@link runContainer}. */
export interface RunOptions {
  /** The program that the image would start. */
  readonly bundle: string;
  /** Probed until it answers: what the chart's readiness probe asks, or its liveness probe. */
  readonly probe: string;
  /** More arguments of Node, for example a heap limit. */
  readonly nodeArgs?: readonly string[];
}

/** Starts a bundle with exactly what the chart rendered, and waits for its probe. */
export async function runContainer(container: PreparedContainer, options: RunOptions): Promise<RunningContainer> {
  const part = await startPart({
    name: options.bundle,
    command: process.execPath,
    args: [...(options.nodeArgs ?? []), options.bundle, ...container.args],
    env: container.env,
    cwd: container.root,
    logPath: join(container.root, "container.log"),
    ready: async () => {
      const answer = await fetch(options.probe);
      if (!answer.ok) throw new Error(`${options.probe}: ${answer.status} ${await answer.text()}`);
    },
  });
  return Object.assign(Object.create(part) as Part, { container });
}

/** Runs the container's program once more beside it, as `kubectl exec` does, and gives its standard output. */
export async function execInContainer(container: PreparedContainer, bundle: string, args: readonly string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [bundle, ...args], { cwd: container.root, env: { ...container.env } });
  return stdout;
}

async function readVolume(installed: InstalledChart, volume: Volume): Promise<[string, string][]> {
  const { admin } = installed.apiserver;
  const from = async (resource: string, name: string) => {
    const object = await admin.get<{ data?: Record<string, string> }>(`/api/v1/namespaces/${installed.namespace}/${resource}/${name}`);
    if (!object && volume.secret?.optional) return undefined;
    if (!object) throw new Error(`${resource}/${name} of the volume ${volume.name} does not exist`);
    return object.data ?? {};
  };
  const source = volume.secret ?? volume.configMap;
  // emptyDir and claims start empty.
  if (!source) return [];
  const data = volume.secret ? await from("secrets", volume.secret.secretName) : await from("configmaps", volume.configMap?.name ?? "");
  if (!data) return [];
  const items = source.items ?? Object.keys(data).map((key) => ({ key, path: key }));
  return items.map(({ key, path }) => {
    const value = data[key];
    if (value === undefined) throw new Error(`the volume ${volume.name} asks for the key ${key}, which is not there`);
    return [path, volume.secret ? Buffer.from(value, "base64").toString("utf8") : value];
  });
}

/** Any of the mount paths where it stands as a path, not as a part of another. */
function pathPattern(mounts: readonly string[]): RegExp {
  const longestFirst = mounts
    .toSorted((left, right) => right.length - left.length)
    .map((mount) => mount.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`(?<![\\w/.-])(?:${longestFirst.join("|")})(?=$|[/"'\\s,])`, "g");
}
