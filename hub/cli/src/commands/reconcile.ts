import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { suggesting } from "../suggest-name.ts";

/** `muster reconcile CLUSTER [BUNDLE]`. */
export function addReconcileCommand(program: Command, cli: Cli): void {
  program
    .command("reconcile <cluster> [bundle]")
    .summary("ask a cluster's agent to apply its slice again now")
    .description(
      "Ask a cluster's agent to apply its slice again now, or only one bundle of it. The agent does so by itself, too; this is for not waiting.",
    )
    .action(async (cluster: string, bundle: string | undefined) => {
      const api = await cli.api();
      const names = { cluster, ...(bundle !== undefined && { bundle }) };
      // The hub passes a bundle on as it is; a name that is none would be accepted and do nothing.
      await suggesting(api, names, async () => {
        if (bundle !== undefined) await api.get(`/targets/${encodeURIComponent(bundle)}/${encodeURIComponent(cluster)}`);
        await api.post(`/clusters/${encodeURIComponent(cluster)}/reconcile`, bundle === undefined ? {} : { bundle });
      });
      cli.print(
        `The agent of ${cluster} was asked to apply ${bundle ?? "its slice"} now. To follow it: muster get targets --cluster ${cluster} --watch`,
      );
    });
}
