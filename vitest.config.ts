import { defineConfig } from "vitest/config";
import { filesForOlder } from "./test/edge-cases/starred.ts";
import { KUBERNETES_VARIABLE, OLDER_MINOR } from "./test/rig/kubernetes.ts";

/**
 * A test on real servers that fails may be tried once more, so that one run tells all there is to tell. `npm test` names each that needed it:
 * it is a bug, in the test or in what it tests, that is still to be found.
 */
const SECOND_TRY = 1;

/** Most of these tests wait, for a watch to be given up or a lease to end: a third file uses the time. Memory for its servers is there. */
const RIG_WORKERS = 3;

/**
 * `unit` is pure and fast; `rig` starts real servers, so few of its files run at once. `rig-older` is what of it must hold on an older
 * Kubernetes too.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          sequence: { groupOrder: 0 },
          include: ["{shared,hub,agent,test}/**/*.test.ts"],
          exclude: ["**/node_modules/**", "**/dist/**", "**/*.rig.test.ts"],
          pool: "threads",
          isolate: false,
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: "rig",
          sequence: { groupOrder: 1 },
          include: ["{shared,hub,agent,test}/**/*.rig.test.ts"],
          exclude: ["**/node_modules/**", "**/dist/**"],
          pool: "forks",
          maxWorkers: RIG_WORKERS,
          testTimeout: 120_000,
          hookTimeout: 180_000,
          retry: SECOND_TRY,
        },
      },
      ...(process.env[KUBERNETES_VARIABLE]
        ? []
        : [
            {
              test: {
                name: "rig-older",
                sequence: { groupOrder: 1 },
                include: filesForOlder(),
                setupFiles: ["test/edge-cases/only-older.ts"],
                env: { [KUBERNETES_VARIABLE]: OLDER_MINOR },
                pool: "forks" as const,
                maxWorkers: RIG_WORKERS,
                testTimeout: 120_000,
                hookTimeout: 180_000,
                retry: SECOND_TRY,
              },
            },
          ]),
    ],
  },
});
