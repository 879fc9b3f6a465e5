import { CodedError } from "@muster/shared/errors";
import { createBackoff, systemClock, Wakeup } from "@muster/shared/runtime";
import type { ApiClient } from "./api-client.ts";
import type { ChangeNotice } from "./api-views.ts";
import { ChangePrinter } from "./change-printer.ts";
import type { Cli } from "./cli.ts";
import { fetchNamed } from "./fetch-named.ts";
import type { OutputFormat } from "./output/structured.ts";
import type { ListRequest, Resource } from "./resources/resource.ts";

/** Milliseconds in which notices are gathered: one commit changes many targets at once. */
const GATHER_MS = 100;

/**
 * Prints a list and then, until the terminal's signal aborts, what changes in it. The hub only says that something has
 * changed, so a notice that is lost on the way costs nothing: after every reconnect the list is asked for anew.
 * Throws if the hub cannot be reached in the first place, or if it refuses.
 */
export async function watchResource<T>(cli: Cli, resource: Resource<T>, request: ListRequest, format: OutputFormat): Promise<void> {
  const api = await cli.api();
  const signal = cli.terminal.signal ?? new AbortController().signal;
  const printer = new ChangePrinter(cli, resource, format);
  const backoff = createBackoff();
  let connected = false;
  /** It was said that the hub is away, so that nobody takes old rows for current ones. */
  let away = false;
  /** What was asked for by its name may go while it is watched. */
  const fetchItems = async (): Promise<readonly T[]> => {
    try {
      return (await fetchNamed(api, resource, request)).items;
    } catch (error) {
      if (connected && error instanceof CodedError && error.code === "API_NOT_FOUND") return [];
      throw error;
    }
  };
  while (!signal.aborted) {
    try {
      await watchOnce(api, resource.changedBy, signal, async () => {
        const items = await fetchItems();
        if (away) cli.remark("Connected again");
        connected = true;
        away = false;
        backoff.reset();
        await printer.show(items);
      });
    } catch (error) {
      if (signal.aborted) return;
      const coded = CodedError.from(error);
      if (!connected || !coded.retryable) throw coded;
      if (!away) cli.remark(`${coded.message}; what is shown may be out of date; trying again`);
      away = true;
    }
    await systemClock.sleep(backoff.next(), signal).catch(() => {});
  }
}

/** One connection: resolves when the hub closes it. */
async function watchOnce(
  api: ApiClient,
  changedBy: readonly ChangeNotice["kind"][],
  signal: AbortSignal,
  show: () => Promise<void>,
): Promise<void> {
  const done = new AbortController();
  const changed = new Wakeup();
  try {
    // First listen, then ask: what changes in between is noticed.
    const events = await api.events("/watch", AbortSignal.any([signal, done.signal]));
    const reading = (async () => {
      for await (const { data } of events) if (changedBy.includes((JSON.parse(data) as ChangeNotice).kind)) changed.wake();
    })();
    const closed = reading
      .catch(() => {})
      .finally(() => {
        done.abort();
        changed.wake();
      });
    for (;;) {
      await show();
      await changed.wait(undefined, signal);
      if (done.signal.aborted || signal.aborted) break;
      await systemClock.sleep(GATHER_MS, signal);
    }
    await closed;
  } finally {
    done.abort();
  }
}
