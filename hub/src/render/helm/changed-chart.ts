import type { CallInputs } from "../sandbox/tool-call.ts";
import { changeArchive, isArchive } from "./chart-archive.ts";
import { mapActions } from "./template-actions.ts";

/**
 * A chart and its values with some calls of functions changed, so that two renders do show what the calls could change
 * on another day. Nothing of such a render is applied.
 */
export interface ChangedChart {
  readonly inputs: CallInputs;
  /** Takes the change out of a text that the chart passes on as it is, such as a template for somebody else. */
  restore(text: string): string;
}

/** Inputs with every action changed: in templates, in packed charts, in values and in other files. */
export function changeActions(inputs: CallInputs, change: (action: string) => string): CallInputs {
  const changeText = (text: string) => mapActions(text, change);
  return new Map([...inputs].map(([name, content]) => [name, changeContent(name, content, changeText)]));
}

function changeContent(name: string, content: Uint8Array | string, change: (text: string) => string): Uint8Array | string {
  if (typeof content === "string") return change(content);
  if (isArchive(name)) return changeArchive(content, change);
  const text = Buffer.from(content).toString("latin1");
  const next = change(text);
  return next === text ? content : Buffer.from(next, "latin1");
}
