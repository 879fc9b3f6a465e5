import type { Cli } from "../cli.ts";
import { TablePrinter } from "../output/table.ts";
import type { Resource } from "./resource.ts";

/** `cluster/eu-west-1`. */
export function nameOf<T>(resource: Resource<T>, item: T): string {
  return `${resource.singular}/${resource.key(item)}`;
}

/** A printer of a resource's table, with ages as of now. */
export function tablePrinter<T>(cli: Cli, resource: Resource<T>, wide: boolean): TablePrinter<T> {
  const columns = resource.columns(cli.now()).filter((column) => (wide ? !column.narrow : !column.wide));
  return new TablePrinter(columns, { paint: cli.paint, width: cli.width });
}

/** The items as rows of its table. */
export function rowsOf<T>(resource: Resource<T>, items: readonly T[], wide: boolean): readonly T[] {
  const { spread } = resource;
  return wide && spread ? items.flatMap(spread) : items;
}
