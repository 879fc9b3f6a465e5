import { CodedError } from "@muster/shared/errors";
import { type Clock, systemClock } from "@muster/shared/runtime";
import { canonicalJson, digestJson } from "@muster/shared/wire";
import { describeLoosely } from "../bind/check-object.ts";
import type { BundleFiles } from "../bundle/bundle-files.ts";
import { joinPath } from "../bundle/bundle-path.ts";
import { ByteLru } from "../cache/byte-lru.ts";
import type { RenderPlan } from "../render-plan.ts";
import type { RenderedObject, RenderedObjects } from "../rendered-objects.ts";
import type { ClusterCapabilities, RenderNotice } from "../renderer.ts";
import type { PrivateFolder } from "../sandbox/private-folder.ts";
import type { Toolbox } from "../sandbox/tool.ts";
import type { DocumentReader } from "../yaml/document-reader.ts";
import { type ChartFacts, chartFacts, joinFacts, valuesFacts } from "./chart-facts.ts";
import { checkDependencies } from "./check-chart.ts";
import { helmError } from "./helm-error.ts";
import type { HelmInput } from "./helm-input.ts";
import { helmObjects } from "./helm-output.ts";

/** Milliseconds between the two renders of a chart that uses the time: a clock of seconds shows then. */
const TIME_GAP_MS = 1_100;

const KUBERNETES_VERSION = /^v?\d+\.\d+(?:\.\d+)?(?:[-+][\w.+-]+)?$/;
const API_VERSION = /^[\w.-]+(?:\/[\w.-]+){0,2}$/;

/** Renders charts with the real helm. */
export class HelmRenderer {
  readonly #command: string;
  readonly #tools: Toolbox;
  readonly #reader: DocumentReader;
  readonly #kubernetesVersion: string;
  readonly #clock: Clock;
  readonly #facts = new ByteLru<ChartFacts>(1024 * 1024);

  constructor(options: { command: string; tools: Toolbox; reader: DocumentReader; kubernetesVersion: string; clock?: Clock }) {
    this.#command = options.command;
    this.#tools = options.tools;
    this.#reader = options.reader;
    this.#kubernetesVersion = options.kubernetesVersion;
    this.#clock = options.clock ?? systemClock;
  }

  /** Throws RENDER_TOOL_MISSING, RENDER_REMOTE, CAPABILITIES_UNKNOWN, BUNDLE_*, YAML_*. */
  async plan(files: BundleFiles, input: HelmInput, capabilities: ClusterCapabilities, signal: AbortSignal): Promise<RenderPlan> {
    const version = await this.#tools.version(this.#command, ["version", "--short"], signal);
    const fingerprint = files.digestBelow(input.chart);
    const facts = await this.#factsOf(files, input, fingerprint);
    if (facts.usesCapabilities && capabilities.unreported) {
      const at = files.position(joinPath(input.chart, "Chart.yaml"));
      throw new CodedError("CAPABILITIES_UNKNOWN", `The chart looks at .Capabilities, and no agent has told them yet`, { at });
    }
    const flags = this.#flags(input, facts, capabilities);
    const values = input.values.map((value) => ("file" in value ? [value.file, files.files.get(value.file)?.oid ?? ""] : value.json));
    const key = digestJson(["helm", version, files.position(input.chart), fingerprint, values, flags]);
    return { key, run: (runSignal) => this.#render({ key, files, input, facts, flags }, runSignal) };
  }

  async #factsOf(files: BundleFiles, input: HelmInput, fingerprint: string): Promise<ChartFacts> {
    const ofChart = await this.#known(`${files.position(input.chart).file} ${fingerprint}`, async () => {
      await checkDependencies(files, input.chart, this.#reader);
      return chartFacts(await files.readAll(files.below(input.chart)), files);
    });
    const ofValues = input.values.map((value) => {
      if ("json" in value) return valuesFacts(value.json);
      return this.#known(files.files.get(value.file)?.oid ?? "", async () =>
        valuesFacts(Buffer.from(await files.read(value.file)).toString("utf8")),
      );
    });
    return joinFacts([ofChart, ...(await Promise.all(ofValues))]);
  }

  async #known(key: string, find: () => Promise<ChartFacts>): Promise<ChartFacts> {
    const known = this.#facts.get(key);
    if (known) return known;
    const found = await find();
    this.#facts.set(key, found, 500);
    return found;
  }

  /** A chart that does not look at the cluster's capabilities is rendered with the default ones, once for all clusters. */
  #flags(input: HelmInput, facts: ChartFacts, capabilities: ClusterCapabilities): string[] {
    const reported = capabilities.kubernetesVersion ?? "";
    const version = facts.usesCapabilities && KUBERNETES_VERSION.test(reported) ? reported : this.#kubernetesVersion;
    const apiVersions = facts.usesCapabilities
      ? [...new Set(capabilities.apiVersions)].filter((name) => API_VERSION.test(name)).sort()
      : [];
    return [
      `--namespace=${input.releaseNamespace}`,
      "--include-crds",
      `--kube-version=${version}`,
      ...(apiVersions.length > 0 ? [`--api-versions=${apiVersions.join(",")}`] : []),
    ];
  }

  async #render(job: Job, signal: AbortSignal): Promise<RenderedObjects> {
    const contents = await job.files.readAll(job.files.below(job.input.chart));
    for (const value of job.input.values) {
      // Read here first: a syntax error then has the file's own name and line.
      if ("file" in value) await this.#reader.read(await job.files.read(value.file), job.files.position(value.file));
    }
    const renders = [this.#run(job, contents, signal)];
    // Only what calls such functions can differ between two runs on the same input; for all others one render is enough.
    if (job.facts.usesRandom || job.facts.usesTime) {
      renders.push(
        job.facts.usesTime
          ? this.#clock.sleep(TIME_GAP_MS, signal).then(() => this.#run(job, contents, signal))
          : this.#run(job, contents, signal),
      );
    }
    // All of them end before anything is said: none is left running behind an error.
    const ended = await Promise.allSettled(renders);
    const results = ended.map((result) => {
      if (result.status === "rejected") throw result.reason;
      return result.value;
    });
    const [first, second] = results;
    if (!first) throw new CodedError("INTERNAL", "helm was not run");
    if (second) requireEqual(first.objects, second.objects, job);
    const lookups = job.facts.lookups.map(
      (path): RenderNotice => ({ type: "LookupEmpty", message: `${path} calls lookup, which finds nothing when the hub renders` }),
    );
    return { key: job.key, objects: first.objects, notices: [...first.notices, ...lookups] };
  }

  #run(
    job: Job,
    contents: ReadonlyMap<string, Uint8Array>,
    signal: AbortSignal,
  ): Promise<{ objects: RenderedObject[]; notices: RenderNotice[] }> {
    return this.#tools.inFolder(async (folder) => {
      for (const [path, content] of contents) await folder.write(`input/${path}`, content);
      const names = new Map<string, string>();
      const valuesFlags = await writeValues(job, folder, names);
      const chart = joinPath(`${folder.path}/input`, job.input.chart);
      const result = await this.#tools.run(
        this.#command,
        ["template", job.input.releaseName, chart, ...job.flags, ...valuesFlags],
        folder,
        signal,
      );
      if (result.code !== 0) throw helmError(result.stderr, folder.path, job.files, job.input.chart, names);
      const documents = await this.#reader.read(result.stdout, job.files.position(job.input.chart), this.#tools.maxOutputBytes);
      return helmObjects(documents, job.files, job.input.chart);
    });
  }
}

interface Job {
  readonly key: string;
  readonly files: BundleFiles;
  readonly input: HelmInput;
  readonly facts: ChartFacts;
  readonly flags: readonly string[];
}

async function writeValues(job: Job, folder: PrivateFolder, names: Map<string, string>): Promise<string[]> {
  const flags: string[] = [];
  for (const [index, value] of job.input.values.entries()) {
    const name = `values/${index}.yaml`;
    await folder.write(name, "file" in value ? await job.files.read(value.file) : value.json);
    names.set(name, "file" in value ? job.files.position(value.file).file : "helm.values");
    flags.push(`--values=${folder.path}/${name}`);
  }
  return flags;
}

/** Throws RENDER_NONDETERMINISTIC with the objects that differ. Hooks, which are not applied, do not count. */
function requireEqual(first: readonly RenderedObject[], second: readonly RenderedObject[], job: Job): void {
  const [one, two] = [first, second].map(
    (objects) => new Map(objects.map((object, index) => [`${index}`, { object, text: canonicalJson(object.object) }])),
  );
  const differing = [...(one ?? [])]
    .filter(([key, { text }]) => two?.get(key)?.text !== text)
    .map(([, { object }]) => `${describeLoosely(object.object)} (${object.origin})`);
  if (differing.length === 0 && first.length === second.length) return;
  const named = differing.slice(0, 10).join(", ") + (differing.length > 10 ? ` and ${differing.length - 10} more` : "");
  throw new CodedError("RENDER_NONDETERMINISTIC", `Two renders of the same chart differ in ${named || "the number of objects"}`, {
    at: job.files.position(joinPath(job.input.chart, "Chart.yaml")),
    data: { objects: differing.slice(0, 10) },
  });
}
