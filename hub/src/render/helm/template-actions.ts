const COMMENT = /^\{\{-?\s*\/\*/;

/**
 * What stands between `{{` and `}}` in a text, without comments. A regular expression would look for the end of every `{{`
 * that has none, again and again.
 */
export function actionsOf(text: string): string[] {
  return spansOf(text).map(([start, end]) => text.slice(start, end));
}

/** The text with every action changed that is no comment. */
export function mapActions(text: string, change: (action: string) => string): string {
  let changed = "";
  let from = 0;
  for (const [start, end] of spansOf(text)) {
    changed += text.slice(from, start) + change(text.slice(start, end));
    from = end;
  }
  return changed + text.slice(from);
}

function spansOf(text: string): [start: number, end: number][] {
  const spans: [number, number][] = [];
  for (let start = text.indexOf("{{"); start >= 0; ) {
    const close = text.indexOf("}}", start + 2);
    if (close < 0) break;
    const end = close + 2;
    if (!COMMENT.test(text.slice(start, start + 20))) spans.push([start, end]);
    start = text.indexOf("{{", end);
  }
  return spans;
}

/** Texts inside of an action; those that hold actions of their own (for `tpl`) are not taken for texts. */
const TEXT = /"(?:[^"\\\n{]|\\.|\{(?!\{))*"|`(?:[^`{]|\{(?!\{))*`/y;

/** Where the text that begins at an offset of an action ends; undefined if none begins there. */
export function endOfText(action: string, at: number): number | undefined {
  TEXT.lastIndex = at;
  return TEXT.test(action) ? TEXT.lastIndex : undefined;
}
