import {
  type ClusterFacts,
  type ClusterReport,
  formatObjectRef,
  type ObjectException,
  type ObjectRefText,
  parseObjectRef,
  type ReportedEvent,
} from "@muster/shared/model";
import type { AgentMessage } from "@muster/shared/rpc";
import { clusterToWire, eventToWire, exceptionToWire, factsToWire } from "./to-wire.ts";

/** A status message, as it goes over the wire. */
export type StatusMessage = NonNullable<AgentMessage["status"]>;

/** How the cluster is now. */
export interface Status {
  readonly facts: ClusterFacts;
  readonly cluster: ClusterReport;
  readonly exceptions: readonly ObjectException[];
  /** Seen a moment ago, perhaps over already: told once, so that the hub sees drift that was corrected at once. */
  readonly seen: readonly ObjectException[];
  readonly events: readonly ReportedEvent[];
}

/** What the hub was told on this stream, as texts to compare with. */
export interface Told {
  readonly facts: string;
  readonly cluster: string;
  readonly exceptions: ReadonlyMap<ObjectRefText, string>;
}

/** Status messages are about this long at most, in bytes of JSON; on the wire they are shorter. The hub takes 1 MiB. */
const PAGE_BYTES = 256 * 1024;

/** What to tell after `told`; undefined: nothing is new. Without `told` it is everything, in messages marked `full`. */
export function statusDelta(
  status: Status,
  told: Told | undefined,
): { readonly messages: readonly StatusMessage[]; readonly told: Told } | undefined {
  const cluster = clusterToWire(status.cluster);
  const facts = factsToWire(status.facts);
  const current = new Map(status.exceptions.map((exception) => [formatObjectRef(exception.ref), exception]));
  for (const exception of status.seen) {
    const ref = formatObjectRef(exception.ref);
    if (!current.has(ref)) current.set(ref, exception);
  }
  const next: Told = {
    facts: JSON.stringify(facts),
    cluster: JSON.stringify(cluster),
    exceptions: new Map([...current].map(([ref, exception]) => [ref, JSON.stringify(exception)])),
  };
  const changed = [...current].filter(([ref]) => told?.exceptions.get(ref) !== next.exceptions.get(ref)).map(([, exception]) => exception);
  const cleared = [...(told?.exceptions.keys() ?? [])].filter((ref) => !current.has(ref));
  const newFacts = told?.facts !== next.facts;
  const newCluster = told?.cluster !== next.cluster;
  if (!newCluster && !newFacts && changed.length === 0 && cleared.length === 0 && status.events.length === 0) return undefined;

  const pages: Page[] = [];
  let room = 0;
  const pageFor = (item: unknown): Page => {
    const bytes = Buffer.byteLength(JSON.stringify(item));
    let page = pages.at(-1);
    if (!page || bytes > room) {
      page = { exceptions: [], cleared: [], events: [] };
      // The first page also carries the report and the facts; however long they are, it takes one object.
      room =
        PAGE_BYTES -
        (pages.length > 0 ? 0 : (newCluster ? Buffer.byteLength(next.cluster) : 0) + (newFacts ? Buffer.byteLength(next.facts) : 0));
      pages.push(page);
    }
    room -= bytes;
    return page;
  };
  pageFor("");
  for (const exception of changed) pageFor(exception).exceptions.push(exceptionToWire(exception));
  for (const ref of cleared) pageFor(ref).cleared.push(parseObjectRef(ref));
  for (const event of status.events) pageFor(event).events.push(eventToWire(event));
  const messages = pages.map(
    (page, index): StatusMessage => ({
      ...page,
      full: told === undefined,
      more: index < pages.length - 1,
      ...(newCluster && index === 0 && { cluster }),
      ...(newFacts && index === 0 && { facts }),
    }),
  );
  return { messages, told: next };
}

interface Page {
  readonly exceptions: NonNullable<StatusMessage["exceptions"]>;
  readonly cleared: NonNullable<StatusMessage["cleared"]>;
  readonly events: NonNullable<StatusMessage["events"]>;
}
