import { generateKeyPairSync, type KeyObject } from "node:crypto";
import type { Slice, SliceContent } from "@muster/shared/model";
import { createFailpoints, systemClock } from "@muster/shared/runtime";
import { silentLogger } from "@muster/shared/telemetry";
import { type EncodedManifestSet, encodeManifestSet } from "@muster/shared/wire";
import { composeSlices } from "../../release/compose-slices.ts";
import { makeModel, makeTarget } from "../../release/testing/fleet-maker.ts";
import { createNatsLink, type NatsLink } from "../nats-link.ts";
import { createPublisher, type Publisher } from "../publisher.ts";

/** A publisher with its own connection, as one hub has it. */
export interface TestPublisher extends Publisher {
  readonly link: NatsLink;
  /** Reasons for which NATS could not be used, oldest first. */
  readonly losses: readonly string[];
  /** Waits until NATS can be used. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}

export const makeSigningKey = (): KeyObject => generateKeyPairSync("ed25519").privateKey;

export function startPublisher(options: {
  readonly url: string;
  readonly signingKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly failpoints?: string;
  readonly blobGracePeriodMs?: number;
  readonly credsFile?: string;
}): TestPublisher {
  const losses: string[] = [];
  const waiting: (() => void)[] = [];
  const abort = new AbortController();
  const link = createNatsLink({
    url: options.url,
    ...(options.credsFile && { credsFile: options.credsFile }),
    replicas: 1,
    clock: systemClock,
    random: Math.random,
    logger: silentLogger(),
    onReady: () => {
      for (const resolve of waiting.splice(0)) resolve();
    },
    onLost: (why) => void losses.push(why.code),
  });
  const publisher = createPublisher({
    link,
    signingKey: options.signingKey,
    publicKey: options.publicKey,
    trustDomain: "test",
    logger: silentLogger(),
    failpoint: createFailpoints(options.failpoints),
    monotonicMs: () => performance.now(),
    ...(options.blobGracePeriodMs !== undefined && { blobGracePeriodMs: options.blobGracePeriodMs }),
  });
  const running = link.run(abort.signal);
  return Object.defineProperties(
    Object.assign(Object.create(publisher) as Publisher, {
      link,
      losses,
      ready: () => (link.connected ? Promise.resolve() : new Promise<void>((resolve) => waiting.push(resolve))),
      stop: async () => {
        abort.abort();
        await running;
      },
    }),
    {},
  ) as TestPublisher;
}

/** What one revision wants: per cluster the names of the objects of its one bundle. */
export function revision(objects: Readonly<Record<string, readonly string[]>>, previous: ReadonlyMap<string, Slice> = new Map()) {
  const sets = new Map<string, EncodedManifestSet>();
  const targets = Object.keys(objects).map((cluster) => makeTarget("app", cluster));
  const outcomes = targets.map((target) => {
    const names = objects[target.cluster.name] ?? [];
    const set = encodeManifestSet(
      names.map((name) => ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: "a" }, data: { name } })),
    );
    sets.set(set.ref.blob, set);
    return { target, set };
  });
  const slices: ReadonlyMap<string, SliceContent> = composeSlices({
    model: makeModel(targets, Object.keys(objects)),
    outcomes,
    previous,
  }).slices;
  return { slices, sets, commits: [{ source: "fleet", ref: "main", commit: "a".repeat(40) }] };
}
