import { parseObjectRef } from "@muster/shared/model";
import { AGENT_FAILPOINTS } from "../../agent/src/failpoints.ts";
import { createSeededRandom, type SeededRandom } from "../rig/seeded-random.ts";
import { beginEpisode, type Episode, type Rest } from "./episode.ts";
import type { ChaosAgent, Lane } from "./lane.ts";
import { createRandomGit, type RandomGit } from "./random-revisions.ts";
import { heldBy } from "./revision.ts";

/** Options of {@link killAtRandom}. */
export interface RandomKillOptions {
  readonly begin: Rest;
  readonly agent: ChaosAgent;
  readonly seed: number;
  /** Gives false once there are enough; lanes share it. */
  readonly more: () => boolean;
  /** Kills at this failpoint, at a random passing, as far as possible. */
  readonly only?: string;
  readonly progress: (text: string) => void;
}

/** An agent is killed so many milliseconds after something has begun at most: a start, a revision. */
const LIFETIME_MS = 2_000;

/** Kills agents at random moments and random failpoints, alive or just born, while Git changes. Ends at rest. */
export async function killAtRandom(lane: Lane, options: RandomKillOptions): Promise<void> {
  const { begin, agent, seed, more, only, progress } = options;
  const random = createSeededRandom(seed);
  const havoc = new Havoc(lane, random, agent, only);
  let rest = begin;
  while (more()) {
    rest = await havoc.episode(rest, `seed ${seed}, kill ${lane.record.kills.length + 1}`, more);
    progress(`${lane.name}: ${lane.record.kills.length} killed`);
  }
}

/** Chance, Git, and the agent that lives now. */
class Havoc {
  readonly #lane: Lane;
  readonly #random: SeededRandom;
  readonly #git: RandomGit;
  readonly #only: string | undefined;
  #agent: ChaosAgent;

  constructor(lane: Lane, random: SeededRandom, agent: ChaosAgent, only: string | undefined) {
    this.#lane = lane;
    this.#random = random;
    this.#git = createRandomGit(random, lane.objects);
    this.#agent = agent;
    this.#only = only;
  }

  /** From rest to rest, with one kill or several. */
  async episode(rest: Rest, name: string, more: () => boolean): Promise<Rest> {
    const random = this.#random;
    const episode = beginEpisode(this.#lane, rest, name);
    for (let count = 1 + random.below(3); count > 0; count--) {
      await this.#publish(episode);
      if (random.chance(0.3)) await sleep(this.#someMs(300));
    }
    await this.#maybeDisturb(episode, rest);
    const forged = random.chance(0.15);
    if (forged) await this.#lane.forge();
    await this.#kill(episode, undefined);
    const since = await this.#reviveAndKillAgain(episode, rest, more);
    // The hub's audit sees that the stream does not hold what it has published.
    if (forged) await this.#lane.republish();
    return episode.settle(this.#agent, since);
  }

  /** Gives when the agent that may live was started. */
  async #reviveAndKillAgain(episode: Episode, rest: Rest, more: () => boolean): Promise<number> {
    const random = this.#random;
    for (;;) {
      if (random.chance(0.15)) await this.#publish(episode);
      if (random.chance(0.4)) await this.#lane.release(heldBy(episode.revisions));
      const again = random.chance(this.#only ? 0.8 : 0.4) && more();
      const failpoint = this.#only ?? (random.chance(0.4) ? random.pick(AGENT_FAILPOINTS) : undefined);
      const passing = 1 + this.#someMs(12);
      const since = performance.now();
      this.#agent = await this.#lane.start(again && failpoint ? `${failpoint}=kill@${passing}` : undefined);
      if (!again) return since;
      await this.#maybeDisturb(episode, rest);
      await this.#kill(episode, failpoint);
    }
  }

  async #publish(episode: Episode): Promise<void> {
    // What a bundle was last is known only if the agent has had the time to take it.
    const mayKeep = episode.revisions.length === 1;
    await episode.publish(this.#git.next(episode.revision, episode.revisions, mayKeep));
  }

  /** Ends one agent's life and judges what it leaves. */
  async #kill(episode: Episode, failpoint: string | undefined): Promise<void> {
    await Promise.race([this.#agent.exited(), sleep(failpoint ? 2 * LIFETIME_MS : this.#someMs(LIFETIME_MS))]);
    const died = !this.#agent.running;
    await this.#agent.kill();
    this.#lane.record.kills.push(died && failpoint ? failpoint : "at random");
    await episode.judgeDeath(this.#agent, `kill ${this.#lane.record.kills.length}`);
  }

  /** Somebody else deletes or edits an object in the cluster. */
  async #maybeDisturb(episode: Episode, rest: Rest): Promise<void> {
    const random = this.#random;
    if (!random.chance(0.2)) return;
    const maps = [...rest.snapshot.live.keys()].filter((ref) => parseObjectRef(ref).kind === "ConfigMap");
    const held = heldBy(episode.revisions);
    // What only lingers beside a bundle that is kept, nobody makes anew.
    const wanted = maps.filter((ref) => !held.has(ref) && episode.revisions.every((revision) => revision.wanted.has(ref)));
    const how = random.chance(0.5) ? "delete" : "edit";
    if (wanted.length > 0) await episode.disturb(random.pick(wanted), how).catch(() => {});
  }

  /** Short times are as likely as long ones, by their order of magnitude: what is over soon is hit too. */
  #someMs(most: number): number {
    return Math.round(most ** this.#random.next());
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
