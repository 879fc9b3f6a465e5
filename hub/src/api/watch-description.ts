import type { ChangeNotice } from "../status/views.ts";

/** When a notice of each kind is sent, and what its name is. Nothing sends one of a bundle: bundles change with the fleet. */
const NOTICES: Readonly<Record<ChangeNotice["kind"], string>> = {
  fleet:
    "Git was read and judged anew, a source or NATS failed or recovered, or you came back with `Last-Event-ID`. The name is empty. " +
    "Labels, bundles, targets and conditions may all have changed, and no other notice says so: ask for all that you show.",
  cluster:
    "Of a cluster, by its name: its slice has changed, its agent came, went or reported, or its freshness changed. No notice of its " +
    "targets or drift is sent when its lease runs out, though they become stale with it: ask for these, too.",
  target: "Of a target, as `bundle/cluster`: its agent has reported it.",
  drift: "Of a cluster, by its name: which of its objects have drifted or fail has changed, or its agent has reported everything anew.",
  revision: "A new revision, by its name.",
  event: "A new event, by its type.",
};

/** What a reader of /watch must know. */
export const WATCH_DESCRIPTION = `Server-Sent Events that say that something has changed, never what:
\`event: target\`, \`data: {"kind":"target","name":"podinfo/eu-west-1"}\`. Ask for what you show; after a reconnect, ask for all of it.
Notices are merged, and an empty name means that many of the kind have changed. Comments keep a silent stream alive. The stream ends when
the hub stops, when the token is replaced, and when it is not read for 30 s. The kinds:

${Object.entries(NOTICES)
  .map(([kind, when]) => `- \`${kind}\`: ${when}`)
  .join("\n")}`;
