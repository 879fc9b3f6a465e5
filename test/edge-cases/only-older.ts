import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach } from "vitest";
import { runsOnOlder } from "./starred.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

// Of the files that run on the older minor version, only the tests that are to.
beforeEach(({ task, skip }) => {
  const file = relative(ROOT, task.file.filepath);
  if (!runsOnOlder(file, task.fullName)) skip("only on the newer minor version");
});
