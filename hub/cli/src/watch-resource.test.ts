import { describe, expect, it } from "vitest";
import { createApi } from "../../src/api/create-api.ts";
import { createSampleFleet, type SampleFleet } from "./testing/sample-fleet.ts";
import { runMuster, type SampleHub, startSampleHub } from "./testing/sample-hub.ts";

/** What a watch has printed so far, and a way to wait for it. */
class Screen {
  text = "";
  #waiting: { wanted: string; resolve: () => void } | undefined;

  readonly sink = {
    write: (text: string) => {
      this.text += text;
      if (this.#waiting && this.text.includes(this.#waiting.wanted)) this.#waiting.resolve();
    },
  };

  async shows(wanted: string): Promise<void> {
    if (this.text.includes(wanted)) return;
    await new Promise<void>((resolve) => {
      this.#waiting = { wanted, resolve };
    });
  }
}

async function watching(
  argv: readonly string[],
  test: (context: { sample: SampleFleet; screen: Screen; hub: SampleHub }) => Promise<void>,
): Promise<{ code: number; text: string }> {
  const sample = createSampleFleet();
  const hub = await startSampleHub(createApi, sample);
  const screen = new Screen();
  const stop = new AbortController();
  try {
    const running = hub.muster(argv, { stdout: screen.sink, stderr: screen.sink, signal: stop.signal });
    await test({ sample, screen, hub });
    stop.abort();
    return { code: (await running).code, text: screen.text };
  } finally {
    stop.abort();
    await hub.close();
  }
}

describe("muster get --watch", () => {
  it("prints the list and then only rows that have changed, under the same columns", async () => {
    const { code, text } = await watching(["get", "clusters", "-w"], async ({ sample, screen }) => {
      await screen.shows("us-east-1");
      sample.clusters = sample.clusters.map((cluster) =>
        cluster.name === "lab-1"
          ? { ...cluster, sync: "Synced", health: "Current", targets: { total: 3, synced: 3, healthy: 3, drifted: 0, failed: 0 } }
          : cluster,
      );
      sample.notify({ kind: "cluster", name: "lab-1" });
      await screen.shows("3/3");
    });
    expect(text).toBe(`\
NAME        STATE         HEALTH    SYNCED   DRIFTED   FAILED   REVISION       HEARD
lab-1       Failed        Failed    2/3            -        2   main@3f2a1b9   8s
eu-west-1   Held          Healthy   1/3            1        -   main@3f2a1b9   3s
us-east-1   Stale 4m20s   Unknown   0/2            -        -   main@9c8b7a6   4m20s
lab-1       Synced        Healthy   3/3            -        -   main@3f2a1b9   8s
`);
    expect(code).toBe(0);
  });

  it("a heartbeat alone prints nothing; what is gone is said so", async () => {
    const { text } = await watching(["get", "drift", "-w"], async ({ sample, screen }) => {
      await screen.shows("Service");
      sample.clusters = sample.clusters.map((cluster) => ({ ...cluster, lastHeard: new Date(0).toISOString() }));
      sample.notify({ kind: "cluster", name: "lab-1" });
      sample.drift = sample.drift.slice(0, 1);
      sample.notify({ kind: "drift", name: "eu-west-1" });
      await screen.shows("resolved");
    });
    expect(text.split("\n").slice(3)).toEqual([expect.stringMatching(/^eu-west-1 +podinfo +Service web\/podinfo +resolved/), ""]);
  });

  it("what the hub does not tell any more has happened all the same: no old event comes again", async () => {
    const { text } = await watching(["get", "events", "-w"], async ({ sample, screen }) => {
      await screen.shows("RenderFailed");
      const all = sample.events;
      sample.events = [
        { id: 6, at: new Date(0).toISOString(), type: "AgentConnected", severity: "info", cluster: "lab-1", message: "" },
        ...all.slice(0, -1),
      ];
      sample.notify({ kind: "event", name: "AgentConnected" });
      await screen.shows("AgentConnected");
    });
    expect(text.trim().split("\n").at(-1)).toContain("AgentConnected");
  });

  it("waits on an empty list, and gives programs one document per change", async () => {
    const { text } = await watching(["get", "events", "lab-1", "--watch", "-o", "json"], async ({ sample, screen }) => {
      await screen.shows("RenderFailed");
      sample.events = [
        { id: 6, at: new Date(0).toISOString(), type: "AgentConnected", severity: "info", cluster: "lab-1", message: "" },
        ...sample.events,
      ];
      sample.notify({ kind: "event", name: "AgentConnected" });
      await screen.shows("AgentConnected");
    });
    expect(text.match(/^\{$/gm)).toHaveLength(2);
  });

  it("ends at once if the hub cannot be reached in the first place", async () => {
    expect((await runMuster(["get", "clusters", "-w", "--url", "http://127.0.0.1:1"])).code).toBe(3);
  });

  it("says that what is shown may be old, once, while the hub is away, and when it is back", async () => {
    const sample = createSampleFleet();
    const first = await startSampleHub(createApi, sample);
    const screen = new Screen();
    const stop = new AbortController();
    const running = first.muster(["get", "clusters", "-w"], { stdout: screen.sink, stderr: screen.sink, signal: stop.signal });
    await screen.shows("us-east-1");
    first.cutConnections();
    await first.close();
    await screen.shows("may be out of date");
    const second = await startSampleHub(createApi, sample, undefined, Number(new URL(first.url).port));
    await screen.shows("Connected again");
    stop.abort();
    await running;
    await second.close();
    expect(screen.text.match(/out of date/g)).toHaveLength(1);
  });

  it("goes on after the hub was away, without printing what is as before", async () => {
    const sample = createSampleFleet();
    const hub = await startSampleHub(createApi, sample);
    const screen = new Screen();
    const stop = new AbortController();
    const running = hub.muster(["get", "events", "lab-1", "-w"], { stdout: screen.sink, stderr: screen.sink, signal: stop.signal });
    await screen.shows("RenderFailed");
    const again = hub.nextWatch();
    hub.cutConnections();
    await again;
    sample.events = [
      { id: 6, at: new Date(0).toISOString(), type: "AgentConnected", severity: "info", cluster: "lab-1", message: "" },
      ...sample.events,
    ];
    sample.notify({ kind: "event", name: "AgentConnected" });
    await screen.shows("AgentConnected");
    stop.abort();
    await running;
    await hub.close();
    expect(screen.text.match(/RenderFailed/g)).toHaveLength(1);
  });
});
