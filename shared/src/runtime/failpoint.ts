import { writeSync } from "node:fs";

/**
 * Named places where a test can make the process fail. Each is one call, and a no-op unless `MUSTER_FAILPOINTS` names it, as
 * `agent.afterApply=kill@3,hub.beforeAck=exit` (at its third passing; default the first). In `agent.afterSlice>agent.afterApply=kill@2`
 * passings count from when the first point was passed; `*` stands for every point.
 */
export type Failpoint<Name extends string = string> = (name: Name) => void;

/** What a failpoint does to the process; tests put something milder in its place. */
export interface FailpointEffects {
  /** `exit`: ends with code 137, after the handlers of `exit`. */
  readonly exit: (code: number) => void;
  /** `kill`: SIGKILL, as `kill -9` and the kernel without memory send it: nothing runs any more. `stop`: SIGSTOP. */
  readonly signal: (name: "SIGKILL" | "SIGSTOP") => void;
  /** `sleep:MS` and `hang`: the event loop stands still for so long. */
  readonly block: (ms: number) => void;
  /** `note`: says every passing, as `failpoint NAME`. */
  readonly note: (line: string) => void;
}

const EFFECTS: FailpointEffects = {
  exit: (code) => process.exit(code),
  signal: (name) => void process.kill(process.pid, name),
  block: (ms) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms),
  note: (line) => void writeSync(2, `${line}\n`),
};

const PART = /^(?:([\w.-]+)>)?([\w.-]+|\*)=(?:(exit|throw|kill|stop|hang|note)|sleep:(\d+))(?:@(\d+))?$/;

interface Armed {
  readonly name: string;
  readonly action: string;
  readonly sleepMs: number;
  readonly at: number;
  /** Passings count only once this point was passed. */
  after: string | undefined;
  seen: number;
}

/** Parses the specification once; what was passed lives in the closure. Throws a RangeError on one that cannot be read. */
export function createFailpoints(specification: string | undefined, effects: Partial<FailpointEffects> = {}): Failpoint {
  if (!specification) return () => {};
  const { exit, signal, block, note } = { ...EFFECTS, ...effects };
  const all = specification.split(",").map(parse);
  const act = (name: string, { action, sleepMs }: Armed): void => {
    if (action === "exit") exit(137);
    else if (action === "kill") signal("SIGKILL");
    else if (action === "stop") signal("SIGSTOP");
    else if (action === "throw") throw new Error(`failpoint ${name}`);
    else block(action === "hang" ? Number.POSITIVE_INFINITY : sleepMs);
  };
  return (name) => {
    for (const armed of all) {
      if (armed.after !== undefined) {
        if (armed.after !== name) continue;
        armed.after = undefined;
      }
      if (armed.name !== "*" && armed.name !== name) continue;
      armed.seen += 1;
      if (armed.action === "note") note(`failpoint ${name}`);
      else if (armed.seen === armed.at) act(name, armed);
    }
  };
}

function parse(part: string): Armed {
  const [, after, name, action = "sleep", sleepMs = "0", at = "1"] = PART.exec(part.trim()) ?? [];
  if (name === undefined) throw new RangeError(`not a failpoint: ${part}`);
  return { name, action, sleepMs: Number(sleepMs), at: Number(at), after, seen: 0 };
}
