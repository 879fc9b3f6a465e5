import type { CallInputs } from "../sandbox/tool-call.ts";
import { type ChangedChart, changeActions } from "./changed-chart.ts";
import { endOfText } from "./template-actions.ts";

const LIST = /(?<![\w.$"])(keys|values)\b(?!\.)/y;

const ASCENDING = " | sortAlpha";
const DESCENDING = " | sortAlpha | reverse";
/** Values may be anything: there is no order that all of them have. */
const REVERSED = " | reverse";

/**
 * A chart in which `keys` is in ascending order. Go gives a map's entries in an order of chance, but of a map with two in
 * the same one seven times of eight: to render again and see would miss most of what changes some day.
 */
export function withKeysAscending(inputs: CallInputs): ChangedChart {
  return withOrder(inputs, (name) => (name === "keys" ? ASCENDING : ""));
}

/** A chart in which `keys` is in descending order, and `values` in the reverse of what it has. */
export function withKeysDescending(inputs: CallInputs): ChangedChart {
  return withOrder(inputs, (name) => (name === "keys" ? DESCENDING : REVERSED));
}

function withOrder(inputs: CallInputs, orderOf: (name: string) => string): ChangedChart {
  return {
    inputs: changeActions(inputs, (action) => appendOrder(action, orderOf)),
    restore: (text) => text.replaceAll(DESCENDING, "").replaceAll(ASCENDING, "").replaceAll(REVERSED, ""),
  };
}

/** Puts the order behind the arguments of each call: `keys .Values.env | join` becomes `keys .Values.env | sortAlpha | join`. */
function appendOrder(action: string, orderOf: (name: string) => string): string {
  const end = action.search(/\s*-?\}\}$/);
  // What goes behind the command that is being read, and behind those around it.
  const pending = [""];
  let changed = "";
  let from = 0;
  const flush = (at: number) => {
    const command = action.slice(from, at);
    const length = command.trimEnd().length;
    changed += command.slice(0, length) + pending.splice(-1, 1, "")[0] + command.slice(length);
    from = at;
  };
  for (let at = 2; at < end; at++) {
    const textEnd = endOfText(action, at);
    LIST.lastIndex = at;
    const name = textEnd === undefined ? LIST.exec(action)?.[1] : undefined;
    if (textEnd !== undefined) at = textEnd - 1;
    else if (name !== undefined) pending.push(orderOf(name) + pending.pop());
    else if (action[at] === "(") pending.push("");
    else if (action[at] === "|" || action[at] === ")") {
      flush(at);
      if (action[at] === ")" && pending.length > 1) pending.pop();
    }
  }
  flush(end);
  return changed + action.slice(from);
}
