import { defineConfig } from "vitest/config";

/** `unit` is pure and fast; `rig` starts real servers, so few of its files run at once. */
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
          maxWorkers: 2,
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
