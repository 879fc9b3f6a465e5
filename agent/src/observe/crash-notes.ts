import { closeSync, constants, fstatSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { CodedError } from "@muster/shared/errors";
import type { Clock } from "@muster/shared/runtime";
import type { Logger } from "@muster/shared/telemetry";
import { z } from "zod";

/**
 * What a process was at when it died without a word (out of memory, a signal): noted in a local file before each piece of work, and read
 * by the next process (E121). A file costs no request, and it outlives a restart of the container; a new pod begins without.
 *
 * Many things are worked on at once, and one death blames them all; what then comes to an end, well or not, is cleared. What was under way at two
 * deaths is worked on alone the next time, so that the third death names the one that it was.
 */
export interface CrashNotes {
  /**
   * Resolves when the work may begin, and gives what says that it is over, however it ended. `key` tells one piece of work from another,
   * `what` is for people. Throws OBJECT_QUARANTINED for what {@link MOST_DEATHS} processes have died of, the last of them less than
   * {@link BLAMED_MS} ago, and the signal's reason if it aborts before the work has begun.
   */
  begin(key: string, what: string, signal: AbortSignal): Promise<() => void>;
  /** Somebody asks for another try: nothing is blamed any more. */
  forgive(): void;
  /** The process ends as it should, whatever is under way. */
  close(): void;
}

/** Deaths after which something is set aside. */
const MOST_DEATHS = 3;
/** Deaths after which it is worked on alone. */
const ALONE_AFTER = 2;
/**
 * Milliseconds for which a death blames anything; then what is set aside is tried once more, alone: somebody may have killed all three
 * for reasons of their own. Longer than what a kubelet waits between two restarts of a container (5 minutes).
 */
const BLAMED_MS = 1_800_000;

/** Options of {@link createCrashNotes}. */
export interface CrashNotesOptions {
  /** A folder that outlives the process; undefined or not writable: nothing is noted. */
  readonly folder?: string | undefined;
  /** Of the cluster: several agents may share a folder. */
  readonly cluster: string;
  readonly clock: Pick<Clock, "wallMs">;
  readonly logger: Logger;
}

/** What stands in the file. */
const NOTED = z.object({
  /** By key, how many processes in a row have died while they were at it, and when the last of them was found dead, in ms since 1970. */
  deaths: z.record(z.string(), z.object({ count: z.number().int(), atMs: z.number() })),
  underWay: z.array(z.string()),
});
type Noted = z.infer<typeof NOTED>;
type Death = Noted["deaths"][string];

/** Notes nothing, sets nothing aside. */
export const NO_CRASH_NOTES: CrashNotes = { begin: async () => () => {}, forgive: () => {}, close: () => {} };

export function createCrashNotes({ folder, cluster, clock, logger }: CrashNotesOptions): CrashNotes {
  if (folder === undefined) return NO_CRASH_NOTES;
  const path = join(folder, `muster-agent-${cluster}.json`);
  const deaths = deathsAt(path, clock.wallMs());
  let file: number | undefined = openFile(path, logger);
  if (file === undefined) return NO_CRASH_NOTES;
  /** How many are at it, by key: a watch and a relist may list the same. */
  const underWay = new Map<string, number>();
  const turns = createTurns();
  let soon: Promise<void> | undefined;
  let isEndNoted = true;
  /** Bytes of the file. */
  let length = fstatSync(file).size;

  /** Small, and of a local file: it is there before the work begins, whatever becomes of this process. */
  function note(): void {
    if (file === undefined) return;
    isEndNoted = true;
    const json = Buffer.from(JSON.stringify({ deaths: Object.fromEntries(deaths), underWay: [...underWay.keys()] } satisfies Noted));
    // Blanks over what else was there: one call in place of two.
    const text = Buffer.concat([json, Buffer.alloc(Math.max(0, length - json.length), " ")]);
    try {
      writeSync(file, text, 0, text.length, 0);
      length = text.length;
    } catch (error) {
      logger.warn({ err: error }, "what the agent is working on can no longer be noted; a death would blame nothing");
      close();
    }
  }

  function close(): void {
    if (file === undefined) return;
    const open = file;
    file = undefined;
    try {
      closeSync(open);
    } catch (error) {
      logger.debug({ err: error }, "the notes could not be closed");
    }
  }

  /** Notes once what begins and ends together. */
  function noteSoon(): Promise<void> {
    soon ??= Promise.resolve().then(() => {
      soon = undefined;
      note();
    });
    return soon;
  }

  function over(key: string): void {
    const others = (underWay.get(key) ?? 1) - 1;
    if (others > 0) underWay.set(key, others);
    else {
      underWay.delete(key);
      deaths.delete(key);
    }
    if (!isEndNoted) return;
    isEndNoted = false;
    // What begins next tells it too, and mostly does so at once.
    setImmediate(() => isEndNoted || note());
  }

  const isRecent = ({ atMs }: Death) => isWithin(clock.wallMs() - atMs, BLAMED_MS);

  note();
  for (const [key, { count }] of deaths)
    logger.warn({ code: "OBJECT_QUARANTINED", deaths: count }, `an agent has died while it was at this: ${key.split(" ")[0]}`);
  return {
    async begin(key, what, signal) {
      if (file === undefined) return () => {};
      const death = deaths.get(key);
      if (death && death.count >= MOST_DEATHS && isRecent(death)) {
        throw new CodedError(
          "OBJECT_QUARANTINED",
          `${what}: the agent's process has died ${MOST_DEATHS} times while it was at it; it is set aside for half an hour, or until another version of it comes from Git, \`muster reconcile\` asks for it, or the pod is replaced`,
        );
      }
      const end = await turns.take(death !== undefined && death.count >= ALONE_AFTER, signal);
      underWay.set(key, (underWay.get(key) ?? 0) + 1);
      await noteSoon();
      let isOver = false;
      return () => {
        if (isOver) return;
        isOver = true;
        over(key);
        end();
      };
    },
    forgive() {
      deaths.clear();
      note();
    },
    close() {
      underWay.clear();
      note();
      close();
    },
  };
}

/** Lets many work at once, or one alone, in the order in which they ask. */
function createTurns() {
  const waiting: { readonly isAlone: boolean; readonly start: () => void }[] = [];
  let working = 0;
  let isOneAlone = false;

  function next(): void {
    for (let first = waiting[0]; first && !isOneAlone && !(first.isAlone && working > 0); first = waiting[0]) {
      waiting.shift();
      working += 1;
      isOneAlone = first.isAlone;
      first.start();
    }
  }

  function end(): void {
    working -= 1;
    isOneAlone = false;
    next();
  }

  return {
    /** Gives what ends the turn. */
    take: (isAlone: boolean, signal: AbortSignal) =>
      new Promise<() => void>((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const abort = () => {
          waiting.splice(waiting.indexOf(mine), 1);
          reject(signal.reason);
          next();
        };
        const mine = {
          isAlone,
          start() {
            signal.removeEventListener("abort", abort);
            resolve(end);
          },
        };
        signal.addEventListener("abort", abort, { once: true });
        waiting.push(mine);
        next();
      }),
  };
}

/** false also for an age below 0: the clock was set back, and says nothing. */
function isWithin(ageMs: number, mostMs: number): boolean {
  return ageMs >= 0 && ageMs < mostMs;
}

/** What was blamed before, not too long ago, and what the last process was at when it died. */
function deathsAt(path: string, nowMs: number): Map<string, Death> {
  const { deaths, underWay } = readNoted(path);
  // What was set aside for long enough is tried once more, alone; what was only suspected is nothing any more.
  const blamed = new Map(Object.entries(deaths).filter(([, { count, atMs }]) => count >= MOST_DEATHS || isWithin(nowMs - atMs, BLAMED_MS)));
  for (const key of underWay) blamed.set(key, { count: (blamed.get(key)?.count ?? 0) + 1, atMs: nowMs });
  return blamed;
}

/** Where none was written, or it was cut short, nothing is blamed. */
function readNoted(path: string): Noted {
  try {
    return NOTED.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return { deaths: {}, underWay: [] };
  }
}

function openFile(path: string, logger: Logger): number | undefined {
  try {
    return openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  } catch (error) {
    logger.warn({ err: error }, `what the agent is working on cannot be noted in ${path}; a death would blame nothing`);
    return undefined;
  }
}
