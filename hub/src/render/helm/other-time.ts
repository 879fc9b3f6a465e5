import type { CallInputs } from "../sandbox/tool-call.ts";
import { type ChangedChart, changeActions } from "./changed-chart.ts";
import { endOfText } from "./template-actions.ts";

const NOW = /(?<![\w.$])now\b/y;

/**
 * A chart in which every call of `now` gives another time: whose output is not the same then would be published anew some
 * day, though nobody has changed it. A process can be given no other clock than the machine's (time namespaces leave the
 * wall clock alone, and Go does not ask libc), so the templates are changed instead. `wallMs` is about the time that
 * helm will see.
 */
export function withOtherTime(inputs: CallInputs, wallMs: number): ChangedChart {
  // Of numbers only, for it may stand in a text that has quotes around it.
  const call = `(toDate (toString 20060102150405) (toString ${otherTime(new Date(wallMs))}))`;
  return { inputs: changeActions(inputs, (action) => replaceNow(action, call)), restore: (text) => text.replaceAll(call, "now") };
}

function replaceNow(action: string, call: string): string {
  let changed = "";
  let from = 0;
  for (let at = 0; at < action.length; at++) {
    const end = endOfText(action, at);
    NOW.lastIndex = at;
    if (end !== undefined) at = end - 1;
    else if (NOW.test(action)) {
      changed += action.slice(from, at) + call;
      from = NOW.lastIndex;
      at = from - 1;
    }
  }
  return changed + action.slice(from);
}

/** A time that is another one in each of its parts, so that it shows whatever the format: `20060102150405`. */
function otherTime(now: Date): string {
  const month = (now.getUTCMonth() + 5) % 12;
  const day = ((now.getUTCDate() + 9) % 28) + 1;
  const time = [(now.getUTCHours() + 7) % 24, (now.getUTCMinutes() + 17) % 60, (now.getUTCSeconds() + 29) % 60] as const;
  const candidates = [1999, 1998].map((year) => new Date(Date.UTC(year, month, day, ...time)));
  // A year has one day more than 52 weeks: one of the two is another day of the week.
  const other = candidates.find((date) => date.getUTCDay() !== now.getUTCDay()) ?? now;
  return other.toISOString().replace(/\D/g, "").slice(0, 14);
}
