import type { MemoryApi } from "../../agent/src/kube/testing/memory/memory-api.ts";
import type { Link, LinkRequest } from "../../agent/src/kube/testing/memory/memory-cluster.ts";
import type { SeededRandom } from "../rig/seeded-random.ts";
import type { VirtualTime } from "./virtual-time.ts";
import { fateOf, unanswered, type Weather } from "./weather.ts";

/** Who uses a link. */
export interface Caller {
  readonly name: string;
  /** Nobody hears an answer any more once this is false. */
  readonly alive: boolean;
}

/** A request as the API server has carried it out. */
export interface Carried {
  readonly caller: Caller;
  readonly request: LinkRequest;
  readonly sentMs: number;
  /** What it would be without anybody's help: throws the refusal. */
  readonly work: () => unknown;
}

/** Options of {@link createLink}. */
export interface LinkOptions {
  readonly api: MemoryApi;
  readonly time: VirtualTime;
  readonly random: SeededRandom;
  readonly weather: Weather;
  readonly caller: Caller;
  /** Carries a request out, and judges it. */
  readonly carry: (carried: Carried) => unknown;
  readonly trace: (line: string) => void;
}

/** The server ends a watch after so many milliseconds; a watch that says nothing for this time is given up. */
const WATCH_MS = { least: 240_000, most: 480_000 };
const IDLE_MS = 150_000;

/** A link that can be cut: watches end, requests go on. */
export interface FaultyLink extends Link {
  cut(): void;
}

/** A way to the API server on which time passes and things get lost, as the seed decides. */
export function createLink(options: LinkOptions): FaultyLink {
  const { api, time, random, weather, caller, carry, trace } = options;
  const open = new Set<() => void>();
  const way = () => 1 + random.next() * (random.chance(0.1) ? weather.slowMs * 5 : weather.slowMs);

  function request<T>(asked: LinkRequest, work: () => T, signal: AbortSignal | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!caller.alive) return;
      const sentMs = time.nowMs;
      let isOver = false;
      const end = (how: () => void) => {
        if (isOver || !caller.alive) return;
        isOver = true;
        signal?.removeEventListener("abort", abort);
        how();
      };
      const abort = () => end(() => reject(signal?.reason));
      if (signal?.aborted) return reject(signal.reason);
      signal?.addEventListener("abort", abort, { once: true });
      const arrive = (): (() => void) => {
        try {
          const answer = carry({ caller, request: asked, sentMs, work }) as T;
          return () => resolve(answer);
        } catch (error) {
          return () => reject(error);
        }
      };
      const fate = fateOf(asked, weather, random);
      if (fate.kind !== "answered") trace(`${caller.name} ${fate.kind}: ${describe(asked)}`);
      switch (fate.kind) {
        case "answered":
          time.after(way(), () => {
            const answer = arrive();
            time.after(way(), () => end(answer));
          });
          return;
        case "refused":
          time.after(way() + way(), () => end(() => reject(fate.error)));
          return;
        case "unanswered":
          time.after(way(), () => void arrive());
          break;
        case "late":
          time.after(fate.afterMs + fate.lateMs, () => void arrive());
          break;
        case "lost":
          break;
      }
      time.after(fate.afterMs + 2 * weather.slowMs, () => end(() => reject(unanswered(asked))));
    });
  }

  return {
    request,
    cut() {
      for (const end of [...open]) end();
    },
    news(asked, version, signal) {
      return new Promise((resolve, reject) => {
        if (!caller.alive) return;
        if (signal.aborted) return reject(signal.reason);
        const cleanups: (() => void)[] = [];
        const end = (how: () => void) => {
          for (const clean of cleanups.splice(0)) clean();
          if (caller.alive) how();
        };
        const tell = () => cleanups.push(time.after(way(), () => end(() => resolve(true))));
        const abort = () => end(() => reject(signal.reason));
        signal.addEventListener("abort", abort, { once: true });
        cleanups.push(() => signal.removeEventListener("abort", abort));
        const cut = () => end(() => reject(unanswered(asked)));
        open.add(cut);
        cleanups.push(() => open.delete(cut));
        if (random.chance(weather.silent)) {
          trace(`${caller.name} silent: ${describe(asked)}`);
          cleanups.push(time.after(IDLE_MS, cut));
          return;
        }
        const lastsMs = WATCH_MS.least + random.next() * (WATCH_MS.most - WATCH_MS.least);
        cleanups.push(time.after(lastsMs, () => end(() => resolve(false))));
        const { type: mine } = asked;
        if (mine && api.store.newest(mine) > Number(version)) tell();
        else {
          const stop = api.store.onChange((type) => {
            if (type.group !== mine?.group || type.kind !== mine.kind) return;
            stop();
            tell();
          });
          cleanups.push(stop);
        }
      });
    },
  };
}

export function describe({ verb, type, namespace, name }: LinkRequest): string {
  return `${verb} ${type?.kind ?? ""}${name === "" ? "" : ` ${namespace}/${name}`}`;
}
