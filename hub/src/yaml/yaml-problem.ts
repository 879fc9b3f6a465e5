/** Something wrong at an offset of the text. The caller knows the file and turns it into a CodedError. */
export class YamlProblem extends Error {
  readonly code: "YAML_SYNTAX" | "YAML_LIMIT";
  /** UTF-16 offset into the text that was read. */
  readonly offset: number;

  constructor(code: "YAML_SYNTAX" | "YAML_LIMIT", message: string, offset: number) {
    super(message);
    this.code = code;
    this.offset = offset;
  }
}

/** Line and column of an offset, both from 1. */
export function positionAt(text: string, offset: number): { line: number; column: number } {
  let line = 1;
  let start = 0;
  for (let at = text.indexOf("\n"); at >= 0 && at < offset; at = text.indexOf("\n", at + 1)) {
    line += 1;
    start = at + 1;
  }
  return { line, column: Math.max(0, offset - start) + 1 };
}
