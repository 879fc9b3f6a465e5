import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { CodedError } from "@muster/shared/errors";
import type { Clock } from "@muster/shared/runtime";
import type { Logger } from "@muster/shared/telemetry";
import { z } from "zod";

/**
 * What a process was at when it died without a word (out of memory, a signal): noted in a local file before each piece of work, and read
 * by the next process (E121). A file costs no request, and it outlives a restart of the container; a new pod begins without.
 *
 * Many things are worked on at once, and one death blames them all; what is then finished is cleared. What was under way at two deaths is
 * worked on alone the next time, together with everything else, so that the third death names the one that it was.
 */
export interface CrashNotes {
  /**
   * Resolves when the work may begin, and gives what says that it is over, however it ended. `key` tells one piece of work from another,
   * `what` is for people. Throws OBJECT_QUARANTINED for what {@link MOST_DEATHS} processes in a row have died of, the last of them less than
   * {@link SET_ASIDE_MS} ago.
   */
  begin(key: string, what: string): Promise<() => void>;
  /** Somebody asks for another try: nothing is blamed any more. */
  forgive(): void;
  /** The process ends as it should, whatever is under way. */
  close(): void;
}

/** Deaths after which something is set aside. */
const MOST_DEATHS = 3;
/** Milliseconds until it is tried once more: somebody may have killed all three for reasons of their own. */
const SET_ASIDE_MS = 1_800_000;
/** Deaths after which it is worked on alone. */
const ALONE_AFTER = 2;

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
  const underWay = new Set<string>();
  let last: Promise<void> = Promise.resolve();
  let soon: Promise<void> | undefined;

  /** Small, and of a local file: it is there before the work begins, whatever becomes of this process. */
  function note(): void {
    if (file === undefined) return;
    const text = Buffer.from(JSON.stringify({ deaths: Object.fromEntries(deaths), underWay: [...underWay] } satisfies Noted));
    try {
      writeSync(file, text, 0, text.length, 0);
      ftruncateSync(file, text.length);
    } catch (error) {
      logger.warn({ err: error }, "what the agent is working on can no longer be noted; a death would blame nothing");
      close();
    }
  }

  function close(): void {
    if (file === undefined) return;
    const open = file;
    file = undefined;
    closeSync(open);
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
    underWay.delete(key);
    deaths.delete(key);
    void noteSoon();
  }

  /** Waits until nothing else is under way. */
  async function alone(): Promise<() => void> {
    const before = last;
    let end = () => {};
    last = new Promise((resolve) => {
      end = resolve;
    });
    await before;
    return end;
  }

  note();
  const isSetAside = (death: Death | undefined) =>
    death !== undefined && death.count >= MOST_DEATHS && clock.wallMs() - death.atMs < SET_ASIDE_MS;
  for (const [key, { count }] of deaths)
    logger.warn({ code: "OBJECT_QUARANTINED", deaths: count }, `an agent has died while it was at this: ${key.split(" ")[0]}`);
  return {
    async begin(key, what) {
      if (file === undefined) return () => {};
      const isCareful = [...deaths.values()].some((death) => death.count >= ALONE_AFTER && !isSetAside(death));
      const end = isCareful ? await alone() : () => {};
      if (isSetAside(deaths.get(key))) {
        end();
        throw new CodedError(
          "OBJECT_QUARANTINED",
          `${what}: the agent's process has died ${MOST_DEATHS} times while it was at it; it is set aside for half an hour, or until it changes, \`muster reconcile\` asks for it, or the pod is replaced`,
        );
      }
      underWay.add(key);
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

/** What was blamed before, and what the last process was at when it died. */
function deathsAt(path: string, atMs: number): Map<string, Death> {
  const { deaths, underWay } = readNoted(path);
  const blamed = new Map(Object.entries(deaths));
  for (const key of underWay) blamed.set(key, { count: (blamed.get(key)?.count ?? 0) + 1, atMs });
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
