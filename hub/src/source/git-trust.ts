import { readFile } from "node:fs/promises";
import { CodedError } from "@muster/shared/errors";
import { Agent } from "undici";

/** Connections to a Git server whose certificate is of a private authority. */
export interface GitTrust {
  /** Reads the file again each time, so that a new one needs no restart. Throws SOURCE_CONFIG if it cannot be read. */
  agent(): Promise<Agent>;
  close(): Promise<void>;
}

/** `caFile`: certificates in PEM; no others are trusted. */
export function createGitTrust(caFile: string): GitTrust {
  let known: { readonly ca: string; readonly agent: Agent } | undefined;
  return {
    async agent() {
      const ca = await readFile(caFile, "utf8").catch((cause: unknown) => {
        throw new CodedError("SOURCE_CONFIG", `The CA file ${caFile} cannot be read`, { cause });
      });
      if (known?.ca !== ca) {
        await known?.agent.close();
        known = { ca, agent: new Agent({ connect: { ca } }) };
      }
      return known.agent;
    },
    async close() {
      await known?.agent.close();
      known = undefined;
    },
  };
}
