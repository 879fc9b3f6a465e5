import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ManualClock } from "../../../test/rig/manual-clock.ts";
import { createTempFolder } from "../../../test/rig/temp-folder.ts";
import { loadCredentials } from "./credentials.ts";

/** What the kubelet mounts into a pod, and the environment that it sets. */
let folder: ReturnType<typeof createTempFolder>;
const mount = () => join(folder.path, "var/run/secrets/kubernetes.io/serviceaccount");
beforeEach(() => {
  folder = createTempFolder("pod");
  mkdirSync(mount(), { recursive: true });
  for (const [name, text] of Object.entries({ token: "first\n", "ca.crt": "the CA", namespace: "muster-system" }))
    writeFileSync(join(mount(), name), text);
  vi.stubEnv("KUBERNETES_SERVICE_HOST", "10.96.0.1");
  vi.stubEnv("KUBERNETES_SERVICE_PORT", "443");
});
afterEach(() => {
  vi.unstubAllEnvs();
  folder.remove();
});

describe("the credentials of a pod", () => {
  it("are the mounted ones: the server of the environment, its CA, and the ServiceAccount's token", async () => {
    const credentials = loadCredentials({ clock: new ManualClock(), root: folder.path });
    expect(credentials.server).toBe("https://10.96.0.1:443");
    expect(credentials.tls).toEqual({ ca: Buffer.from("the CA") });
    expect(await credentials.authorization()).toBe("Bearer first");
  });

  it("E262: a token that the kubelet renewed is used after a minute, and at once when the old one was refused", async () => {
    const clock = new ManualClock();
    const credentials = loadCredentials({ clock, root: folder.path });
    await credentials.authorization();
    writeFileSync(join(mount(), "token"), "second");
    expect(await credentials.authorization()).toBe("Bearer first");
    await clock.advance(60_000);
    expect(await credentials.authorization()).toBe("Bearer second");
    writeFileSync(join(mount(), "token"), "third");
    expect(await credentials.authorization(true)).toBe("Bearer third");
  });

  it("that are missing are said to be", () => {
    folder.remove();
    expect(() => loadCredentials({ clock: new ManualClock(), root: folder.path })).toThrow(
      expect.objectContaining({ code: "CONFIG_INVALID", message: expect.stringContaining("ca.crt") }),
    );
  });
});
