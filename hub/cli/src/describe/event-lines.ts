import type { FleetEvent } from "../api-views.ts";
import type { Cli } from "../cli.ts";
import type { Report } from "../output/report.ts";
import { formatTable } from "../output/table.ts";
import { EVENTS } from "../resources/events.ts";

/** The last events, newest last, without the columns that the page's subject makes needless. */
export function addEvents(report: Report, cli: Cli, events: readonly FleetEvent[], without: readonly string[] = ["CLUSTER"]): void {
  if (events.length === 0) return;
  report.section("Last events");
  const columns = EVENTS.columns(cli.now()).filter(({ title, wide }) => !wide && !without.includes(title));
  report.raw(formatTable(columns, [...events].sort(EVENTS.compare), { paint: cli.paint, width: cli.width, indent: 2 }));
}
