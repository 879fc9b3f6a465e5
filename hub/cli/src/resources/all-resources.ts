import { AGENTS } from "./agents.ts";
import { BUNDLES } from "./bundles.ts";
import { CLUSTERS } from "./clusters.ts";
import { DRIFT } from "./drift.ts";
import { EVENTS } from "./events.ts";
import type { Resource } from "./resource.ts";
import { REVISIONS } from "./revisions.ts";
import { TARGETS } from "./targets.ts";

/** Does something with a resource, whatever its items are. */
type Visitor<R> = <T>(resource: Resource<T>) => R;

/** Visits every resource, in the order of the help. */
export function forEachResource<R>(visit: Visitor<R>): R[] {
  return [visit(CLUSTERS), visit(BUNDLES), visit(TARGETS), visit(DRIFT), visit(REVISIONS), visit(EVENTS), visit(AGENTS)];
}
