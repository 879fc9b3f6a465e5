import { createHash } from "node:crypto";
import { AGENT_FAILPOINTS } from "../../agent/src/failpoints.ts";
import { createSeededRandom, type SeededRandom } from "../rig/seeded-random.ts";
import { createRandomGit, type RandomGit } from "./git.ts";
import type { Finding } from "./oracle.ts";
import { judgeRest } from "./rest.ts";
import { fairWeather } from "./weather.ts";
import { chancesOf, createWorld, type Sabotage, type World } from "./world.ts";

/** What one run came to. */
export interface SeedResult {
  readonly seed: number;
  readonly findings: readonly Finding[];
  /** Everything that happened, line by line. */
  readonly trace: readonly string[];
  /** Of the trace: two runs of one seed have the same. */
  readonly digest: string;
  readonly steps: number;
  readonly requests: number;
  readonly kills: number;
  /** Virtual milliseconds from the end of all faults until everything was in order, for each time. */
  readonly convergedMs: readonly number[];
}

type Focus = NonNullable<Sabotage["focus"]>;

/** Milliseconds in which everything must be in order once nothing goes wrong any more: what somebody must mend is tried every 5 minutes. */
const PATIENCE_MS = 20 * 60_000;
const QUIET_MS = 3_600_000;

/** Of so many histories one has more than one storm, and an hour of quiet behind them: most bugs need one storm, and hours cost. */
const LONG_EVERY = 8;

/** Options of {@link runSeed}. */
export interface SeedOptions {
  /** Breaks the agent, to see whether that is found. */
  readonly sabotage?: Sabotage;
  /** Default: by the seed, one of {@link LONG_EVERY} is long. */
  readonly length?: "short" | "long";
}

/** Plays one history, chosen by its seed, and judges it. */
export async function runSeed(seed: number, { sabotage, length }: SeedOptions = {}): Promise<SeedResult> {
  const random = createSeededRandom(seed);
  const world = createWorld(chancesOf(seed), sabotage);
  const focus = sabotage?.focus ?? {};
  const git = createRandomGit(random, focus);
  const convergedMs: number[] = [];
  try {
    world.interference = focus.interference ?? 0;
    begin(world, random);
    const isLong = length === "long" || (length === undefined && seed % LONG_EVERY === 0);
    const rounds = isLong ? 1 + random.below(3) : 1;
    for (let round = 0; round < rounds && world.oracle.findings.length === 0; round += 1) {
      await storm(world, git, random, focus);
      const ms = await settle(world, git, random);
      if (ms !== undefined) convergedMs.push(ms);
    }
    if (isLong && world.oracle.findings.length === 0) await keepQuiet(world);
  } catch (error) {
    world.oracle.say("I15", error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  const kills = [...world.kills.values()].reduce((sum, count) => sum + count, 0);
  const { trace, oracle, requests } = world;
  const digest = createHash("sha256").update(trace.join("\n")).digest("hex");
  world.end();
  return { seed, findings: oracle.findings, trace, digest, steps: world.time.steps, requests, kills, convergedMs };
}

function begin(world: World, random: SeededRandom): void {
  world.start(random.chance(0.5) ? deathOf(random) : undefined);
}

function deathOf(random: SeededRandom): { point: string; at: number } {
  return { point: random.pick(AGENT_FAILPOINTS), at: 1 + random.below(3) };
}

/** Things go wrong. */
async function storm(world: World, git: RandomGit, random: SeededRandom, focus: Focus): Promise<void> {
  const deeds = 3 + random.below(10);
  for (let deed = 0; deed < deeds && world.oracle.findings.length === 0; deed += 1) {
    if (random.chance(0.4)) changeWeather(world, random, focus);
    act(world, git, random);
    await world.time.pass(random.chance(0.7) ? random.below(3_000) : random.below(60_000));
    if (world.agents.length === 0 && random.chance(0.5)) world.start(random.chance(0.5) ? deathOf(random) : undefined);
  }
}

function act(world: World, git: RandomGit, random: SeededRandom): void {
  const { agents } = world;
  const dice = random.next();
  if (dice < 0.35) world.publish(git.next({ calm: false }));
  else if (dice < 0.65) world.note(`somebody: ${world.strangers.act()}`);
  else if (dice < 0.78 && agents.length > 0) {
    const agent = random.pick(agents);
    world.kill(agent, "at random");
    world.time.after(random.below(5_000), () => world.start(random.chance(0.6) ? deathOf(random) : undefined));
  } else if (dice < 0.83) world.forge();
  else if (dice < 0.87) world.cutWatches();
  else if (dice < 0.9) {
    world.note("the API server forgets what was");
    world.api.store.compact();
    world.cutWatches();
  } else if (dice < 0.94 && agents.length < 3) world.start(random.chance(0.3) ? deathOf(random) : undefined);
  else if (agents.length > 0) {
    const agent = random.pick(agents);
    const ms = random.below(random.chance(0.5) ? 3_000 : 90_000);
    world.note(`${agent.name} stands still for ${ms} ms`);
    agent.freeze();
    world.time.after(ms, () => agent.thaw());
  }
}

function changeWeather(world: World, random: SeededRandom, focus: Focus): void {
  const { weather, broker, api } = world;
  world.interference = focus.interference ?? (random.chance(0.4) ? 0.15 * random.next() : 0);
  const some = (share: number, most: number) => (random.chance(share) ? random.next() * most : 0);
  weather.down = random.chance(0.08);
  weather.lost = some(0.4, 0.3);
  weather.refused = some(0.3, 0.4);
  weather.silent = some(0.3, 0.5);
  weather.slowMs = random.chance(0.2) ? 400 : 20;
  const resources = ["configmaps", "secrets", "deployments", "namespaces", "customresourcedefinitions", "leases"];
  weather.forbidden = new Set(random.chance(0.15) ? [random.pick(resources)] : []);
  broker.lost = some(0.4, 0.8);
  broker.behind = some(0.3, 0.8);
  api.aggregatedDown = random.chance(focus.aggregatedDown ?? 0.15);
  const { down, lost, refused, silent, slowMs, forbidden } = weather;
  const aggregated = api.aggregatedDown ? " metering down" : "";
  world.note(
    `weather: ${down ? "down " : ""}lost ${lost.toFixed(2)} refused ${refused.toFixed(2)} silent ${silent.toFixed(2)} slow ${slowMs} forbidden ${[...forbidden].join(" ") || "-"} broker ${broker.lost.toFixed(2)}${aggregated}`,
  );
  if (down) world.cutWatches();
}

function clearUp(world: World): void {
  const { weather, broker, api } = world;
  world.interference = 0;
  Object.assign(weather, fairWeather());
  broker.lost = 0;
  broker.behind = 0;
  api.aggregatedDown = false;
  world.note("nothing goes wrong any more");
}

/** Nothing goes wrong any more: everything must come into order. Gives how long that took. */
async function settle(world: World, git: RandomGit, random: SeededRandom): Promise<number | undefined> {
  // Whoever was killed has come again, and whoever stands still goes on; a death that was planned may still come.
  await world.time.pass(95_000);
  clearUp(world);
  const [first, ...others] = world.agents;
  if (!first) world.start();
  else if (random.chance(0.6)) for (const agent of random.chance(0.5) ? others : [first]) world.kill(agent, "one is enough");
  if (world.agents.length === 0) world.start();
  world.publish(git.next({ calm: true }));
  const beganMs = world.time.nowMs;
  let problems = judgeRest(world.rest());
  let approvals = 0;
  for (let waitedMs = 0; waitedMs < PATIENCE_MS && world.oracle.findings.length === 0; ) {
    const stepMs = waitedMs < 30_000 ? 2_000 : 20_000;
    await world.time.pass(stepMs);
    waitedMs += stepMs;
    world.strangers.leave();
    const { heldDeletion } = world.hub.cluster ?? {};
    if (waitedMs > 10_000 && heldDeletion?.id && approvals < 3 && random.chance(0.3)) {
      approvals += 1;
      world.note(`an operator approves ${heldDeletion.objects} deletions`);
      world.publish(git.approve(heldDeletion.id));
    }
    problems = judgeRest(world.rest());
    // Not before an agent that was replaced has given way.
    if (problems.length === 0 && waitedMs > 10_000) {
      world.note("everything is in order");
      return world.time.nowMs - beganMs;
    }
  }
  world.note(`the hub knows: ${JSON.stringify(world.hub.cluster)}`);
  world.note(`the inventory: ${[...world.rest().memory.inventory().entries.values()].map((entry) => JSON.stringify(entry)).join(" ")}`);
  for (const { invariant, what } of problems) world.oracle.say(invariant, what);
  return undefined;
}

/** I9: an hour in which nobody does anything. */
async function keepQuiet(world: World): Promise<void> {
  world.spare();
  // Whoever is to come again has come.
  await world.time.pass(10_000);
  const [first, ...others] = world.agents;
  for (const agent of others) world.kill(agent, "one is enough");
  if (!first) return;
  // Of two agents the one that is left may have stood by, or may hear of that only when its silent watch is given up, and then takes over.
  await world.time.pass(200_000);
  const { writes } = world;
  const at = world.trace.length;
  await world.time.pass(QUIET_MS);
  if (world.writes > writes)
    world.oracle.say(
      "I9",
      `${world.writes - writes} writes in an hour in which nothing changed: ${world.trace.slice(at, at + 3).join(" | ")}`,
    );
  for (const { invariant, what } of judgeRest(world.rest())) world.oracle.say(invariant, `after an hour: ${what}`);
}
