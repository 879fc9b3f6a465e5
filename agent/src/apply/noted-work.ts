import { describeObjectRef, parseObjectRef } from "@muster/shared/model";
import type { CrashNotes } from "../observe/crash-notes.ts";
import type { Applier } from "./applier.ts";
import type { Pruner } from "./pruner.ts";

/** Notes what is applied, so that an object that ends the process is known to the next one (E121). A new manifest has a clean slate. */
export function notedApplier(applier: Applier, notes: CrashNotes): Applier {
  return {
    ...applier,
    async apply(task, signal) {
      const { ref, digest } = task.line;
      const over = await notes.begin(`apply:${ref} ${digest}`, describeObjectRef(parseObjectRef(ref)), signal);
      try {
        return await applier.apply(task, signal);
      } finally {
        over();
      }
    },
  };
}

/** The same for what is deleted, or let go of. */
export function notedPruner(prune: Pruner, notes: CrashNotes): Pruner {
  return async (entry, context, signal) => {
    const over = await notes.begin(`prune:${entry.ref}`, describeObjectRef(parseObjectRef(entry.ref)), signal);
    try {
      return await prune(entry, context, signal);
    } finally {
      over();
    }
  };
}
