import type { Cli } from "./cli.ts";
import { formatStructured, type OutputFormat } from "./output/structured.ts";
import { nameOf, rowsOf, tablePrinter } from "./resources/print-resource.ts";
import type { Resource } from "./resources/resource.ts";

/** Prints a list once, and after that only the items that are new, have changed, or are gone. */
export class ChangePrinter<T> {
  readonly #cli: Cli;
  readonly #resource: Resource<T>;
  readonly #format: OutputFormat;
  readonly #known = new Map<string, { readonly item: T; readonly print: string }>();
  #widths: readonly number[] = [];
  #started = false;

  constructor(cli: Cli, resource: Resource<T>, format: OutputFormat) {
    this.#cli = cli;
    this.#resource = resource;
    this.#format = format;
  }

  async show(items: readonly T[]): Promise<void> {
    const changed: T[] = [];
    const seen = new Set<string>();
    for (const item of [...items].sort(this.#resource.compare)) {
      const key = this.#resource.key(item);
      const print = fingerprint(item);
      seen.add(key);
      if (this.#known.get(key)?.print !== print) changed.push(item);
      this.#known.set(key, { item, print });
    }
    const gone = [...this.#known].filter(([key]) => !seen.has(key)).map(([key, { item }]) => ({ key, item }));
    for (const { key } of gone) this.#known.delete(key);
    await this.#print(changed, this.#resource.happened ? [] : gone.map(({ item }) => item));
  }

  async #print(changed: readonly T[], gone: readonly T[]): Promise<void> {
    if (this.#format === "json" || this.#format === "yaml") {
      // Documents one after the other; what is gone has none.
      for (const item of changed) this.#cli.print(`${this.#format === "yaml" ? "---\n" : ""}${await formatStructured(item, this.#format)}`);
      return;
    }
    if (this.#format === "name") {
      if (changed.length > 0) this.#cli.print(changed.map((item) => nameOf(this.#resource, item)));
      return;
    }
    // A new printer each time, because its ages are as of now; it goes on with the widths of the last.
    const wide = this.#format === "wide";
    const printer = tablePrinter(this.#cli, this.#resource, wide);
    printer.widen(this.#widths);
    if (!this.#started && changed.length === 0) this.#cli.remark(this.#resource.empty);
    const lines = [
      ...printer.lines(rowsOf(this.#resource, changed, wide), { header: !this.#started }),
      ...printer.lines(gone, { gone: true }),
    ];
    if (lines.length > 0 && (this.#started || changed.length > 0)) {
      this.#cli.print(lines);
      this.#started = true;
    }
    this.#widths = printer.widths;
  }
}

/** What makes two answers the same: all but the time of the last heartbeat, which moves by itself. */
function fingerprint(item: unknown): string {
  return JSON.stringify(item, (key, value: unknown) => (key === "lastHeard" ? undefined : value));
}
