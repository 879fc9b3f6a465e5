import { CodedError, type InputPosition } from "@muster/shared/errors";
import { type Clock, systemClock } from "@muster/shared/runtime";
import type { BundleFiles } from "../bundle/bundle-files.ts";
import { joinPath } from "../bundle/bundle-path.ts";
import { ByteLru } from "../cache/byte-lru.ts";
import { SharedWork } from "../cache/shared-work.ts";
import type { DocumentReader } from "../documents/document-reader.ts";
import type { RenderPlan } from "../render-plan.ts";
import type { RenderedObject, RenderedObjects } from "../rendered-objects.ts";
import type { ClusterCapabilities, RenderNotice } from "../renderer.ts";
import type { Toolbox } from "../sandbox/tool.ts";
import { type CallInputs, callKey, inputPath, readInputs, type ToolCall } from "../sandbox/tool-call.ts";
import type { ChangedChart } from "./changed-chart.ts";
import { type ChartFacts, chartFacts, joinFacts, valuesFacts } from "./chart-facts.ts";
import { checkDependencies } from "./check-chart.ts";
import { helmError } from "./helm-error.ts";
import { capabilityFlags } from "./helm-flags.ts";
import { type HelmInput, valuesName } from "./helm-input.ts";
import { helmObjects } from "./helm-output.ts";
import { withKeysAscending, withKeysDescending } from "./other-order.ts";
import { withOtherTime } from "./other-time.ts";
import { nondeterministic, type OtherRender, requireEqual } from "./require-equal.ts";

/** Milliseconds between two renders of a chart that uses the time: a clock of seconds shows then. */
const TIME_GAP_MS = 1_100;

interface Rendered {
  readonly objects: readonly RenderedObject[];
  readonly notices: readonly RenderNotice[];
}

/** One chart with everything that helm gets for one target. */
interface Job {
  readonly files: BundleFiles;
  readonly input: HelmInput;
  readonly facts: ChartFacts;
  readonly call: ToolCall;
  readonly key: string;
}

/** Renders charts with the real helm. */
export class HelmRenderer {
  readonly #command: string;
  readonly #tools: Toolbox;
  readonly #reader: DocumentReader;
  readonly #kubernetesVersion: string;
  readonly #clock: Clock;
  readonly #facts = new ByteLru<ChartFacts>(1024 * 1024);
  readonly #looking = new SharedWork<ChartFacts>();

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
    const facts = await this.#factsOf(files, input, signal);
    if (facts.usesCapabilities && capabilities.unreported) {
      const at = chartPosition({ files, input });
      throw new CodedError("CAPABILITIES_UNKNOWN", `The chart looks at .Capabilities, and no agent has told them yet`, { at });
    }
    const call = helmCall(input, capabilityFlags(facts, capabilities, this.#kubernetesVersion));
    const key = callKey("helm", version, call, files);
    return { key, run: (runSignal) => this.#render({ files, input, facts, call, key }, runSignal) };
  }

  async #factsOf(files: BundleFiles, input: HelmInput, signal: AbortSignal): Promise<ChartFacts> {
    const { file, source } = files.position(input.chart);
    const ofChart = this.#known(`${source}\0${file}\0${files.digestBelow(input.chart)}`, signal, async () => {
      await checkDependencies(files, input.chart, this.#reader);
      return chartFacts(await files.readAll(files.below(input.chart)), files);
    });
    const ofValues = input.values.map((value) => {
      if ("json" in value) return valuesFacts(value.json);
      return this.#known(`${value.file}\0${files.files.get(value.file)?.oid}`, signal, async () =>
        valuesFacts(Buffer.from(await files.read(value.file)).toString("utf8"), value.file),
      );
    });
    return joinFacts(await Promise.all([ofChart, ...ofValues]));
  }

  /** Thousands of targets ask for the same chart at once: one of them looks. */
  async #known(key: string, signal: AbortSignal, find: () => Promise<ChartFacts>): Promise<ChartFacts> {
    const known = this.#facts.get(key);
    if (known) return known;
    const findAndKeep = async () => {
      const found = await find();
      this.#facts.set(key, found, 500);
      return found;
    };
    return await this.#looking.run(key, findAndKeep, signal);
  }

  async #render(job: Job, signal: AbortSignal): Promise<RenderedObjects> {
    for (const value of job.input.values) {
      // Read here first: a syntax error then has the file's own name and line.
      if ("file" in value) await this.#reader.read(await job.files.read(value.file), job.files.position(value.file));
    }
    const inputs = await readInputs(job.call, job.files);
    // All of them end before anything is said: none is left running behind an error.
    const running = this.#run(job, inputs, signal);
    const renders = await Promise.allSettled([running, ...this.#others(job, inputs, running, signal)]);
    const [first, ...others] = renders.map(resultOf);
    if (!first) throw new CodedError("INTERNAL", "helm was not run");
    requireEqual(first.objects, others, job.facts.suspects, chartPosition(job));
    const lookups = job.facts.lookups.map(
      (path): RenderNotice => ({ type: "LookupEmpty", message: `${path} calls lookup, which finds nothing when the hub renders` }),
    );
    return { key: job.key, objects: first.objects, notices: [...first.notices, ...lookups] };
  }

  /** Only what calls functions of chance, order or time can differ between two runs on the same input; for all others one is enough. */
  #others(job: Job, inputs: CallInputs, first: Promise<unknown>, signal: AbortSignal): Promise<Rendered & OtherRender>[] {
    const { usesRandom, usesOrder, usesTime } = job.facts;
    const others: Promise<Rendered & OtherRender>[] = [];
    if (usesRandom) others.push(this.#run(job, inputs, signal));
    // Twice, for values that are reversed may come back to what they were.
    const orders = usesOrder ? [withKeysAscending, withKeysDescending, withKeysDescending] : [];
    for (const order of orders) others.push(this.#runChanged(job, () => order(inputs), signal));
    if (usesTime) {
      // Time goes on: a second for helm's clock, years for what the chart itself calls `now`. The first may have waited for its turn.
      const later = first.then(() => this.#clock.sleep(TIME_GAP_MS, signal));
      others.push(later.then(() => this.#runChanged(job, () => withOtherTime(inputs, this.#clock.wallMs()), signal)));
    }
    return others;
  }

  async #runChanged(job: Job, change: () => ChangedChart, signal: AbortSignal): Promise<Rendered & OtherRender> {
    try {
      const { inputs, restore } = change();
      return { ...(await this.#run(job, inputs, signal)), restore };
    } catch (error) {
      // If it fails unchanged too, that is what is said: its result comes first.
      if (!(error instanceof CodedError) || error.code !== "RENDER_HELM") throw error;
      throw nondeterministic(["whether it renders at all"], job.facts.suspects, chartPosition(job));
    }
  }

  async #run(job: Job, inputs: CallInputs, signal: AbortSignal): Promise<Rendered & OtherRender> {
    const result = await this.#tools.call(this.#command, job.call, inputs, signal);
    if (result.code !== 0) throw helmError(result.stderr, result.folder, job.files, job.input);
    const documents = await this.#reader.read(result.stdout, job.files.position(job.input.chart), this.#tools.maxOutputBytes);
    return helmObjects(documents, job.files, job.input.chart);
  }
}

function chartPosition({ files, input }: Pick<Job, "files" | "input">): InputPosition {
  return files.position(joinPath(input.chart, "Chart.yaml"));
}

function helmCall(input: HelmInput, flags: readonly string[]): ToolCall {
  const extra = input.values.map((value, index) => {
    const name = valuesName(index);
    return "file" in value ? { name, path: value.file } : { name, text: value.json };
  });
  const values = extra.map(({ name }) => `--values=${name}`);
  const namespace = `--namespace=${input.releaseNamespace}`;
  return {
    args: ["template", input.releaseName, inputPath(input.chart), namespace, "--include-crds", ...flags, ...values],
    tree: input.chart,
    extra,
  };
}

function resultOf<T>(ended: PromiseSettledResult<T>): T {
  if (ended.status === "rejected") throw ended.reason;
  return ended.value;
}
