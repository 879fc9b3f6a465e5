/** One Server-Sent Event. */
export interface ServerEvent {
  readonly event: string;
  readonly data: string;
}

/** Parses `text/event-stream` (WHATWG HTML 9.2); comments, ids and retry times are left out. Ends when the stream does. */
export async function* parseEvents(stream: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  let event = "";
  let data: string[] = [];
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (data.length > 0) yield { event: event || "message", data: data.join("\n") };
        event = "";
        data = [];
      } else if (line.startsWith("data:")) data.push(fieldValue(line, 5));
      else if (line.startsWith("event:")) event = fieldValue(line, 6);
    }
  }
}

function fieldValue(line: string, from: number): string {
  return line.startsWith(" ", from) ? line.slice(from + 1) : line.slice(from);
}
