/** A part of a file that holds one document, marker included. */
export interface DocumentText {
  readonly text: string;
  /** Lines of the file above it. */
  readonly line: number;
}

const DIRECTIVE = /^%/m;

/**
 * Cuts a file at its `---` lines, so that documents can be cached one by one. A line of three dashes at the first
 * column ends a document in every context (YAML 1.2, 9.1.2). A file with directives is not cut: they belong to the
 * document below their marker.
 */
export function splitDocuments(text: string): DocumentText[] {
  if (DIRECTIVE.test(text)) return [{ text, line: 0 }];
  const parts: DocumentText[] = [];
  let start = 0;
  let startLine = 0;
  let line = 0;
  for (let newline = text.indexOf("\n"); newline >= 0; newline = text.indexOf("\n", newline + 1)) {
    line += 1;
    const at = newline + 1;
    if (!isMarker(text, at)) continue;
    parts.push({ text: text.slice(start, at), line: startLine });
    start = at;
    startLine = line;
  }
  parts.push({ text: text.slice(start), line: startLine });
  return parts;
}

function isMarker(text: string, at: number): boolean {
  if (!text.startsWith("---", at)) return false;
  const after = text.charCodeAt(at + 3);
  return Number.isNaN(after) || after === 0x0a || after === 0x0d || after === 0x20 || after === 0x09;
}
