import type { Rewound } from "./cluster-record.ts";

/** What it means that an agent knows of less than it had taken, for people. */
export function describeRewound({ from, to }: Rewound): string {
  const had = `The agent had taken generation ${from.epoch}.${from.generation}`;
  if (!to)
    return `${had} and remembers none: its state was deleted, or the cluster was made anew; what it finds there it deletes only with an approval`;
  return `${had} and is back at ${to.epoch}.${to.generation}: its cluster was restored from a backup; what was made since is gone with it, and comes again with the newest slice`;
}
