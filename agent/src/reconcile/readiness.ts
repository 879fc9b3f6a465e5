import { CodedError } from "@muster/shared/errors";
import { describeObjectRef, type ObjectRefText, parseObjectRef } from "@muster/shared/model";
import { type Clock, forEachLimited } from "@muster/shared/runtime";
import type { Cluster } from "../kube/cluster.ts";
import type { DiscoveryCache } from "../kube/discovery-cache.ts";
import { isOlder, versionOf } from "../observe/observed-object.ts";
import type { Observer } from "../observe/observer.ts";
import type { CompiledReadinessRule } from "./bundle-rules.ts";
import type { Blocker, ClusterState } from "./cluster-state.ts";

/** Asks whether objects of bundles are as others need them. */
export interface Readiness {
  /** At the beginning of a pass: nobody waits for any object until {@link blockers} says so. */
  begin(): void;
  /** What is not as the rules say; empty if all is. */
  blockers(rules: readonly CompiledReadinessRule[], signal: AbortSignal): Promise<Blocker[]>;
}

/** Options of {@link createReadiness}. */
export interface ReadinessOptions {
  readonly cluster: Cluster;
  readonly discovery: DiscoveryCache;
  readonly observer: Observer;
  readonly state: ClusterState;
  readonly clock: Clock;
  /** Reads at once. */
  readonly concurrency: number;
}

/** What a rule said of one version of an object. */
interface Answer {
  readonly version: string;
  readonly isReady: boolean;
  /** Why it could not be told. */
  readonly problem?: string;
}

/** Milliseconds until an object that could not be read is read again. */
const RETRY_MS = 10_000;

/**
 * Objects are read only while somebody waits for them, and read again only when the observer has seen a newer version: it is asked to
 * tell of each one, also where that changes neither health nor drift.
 */
export function createReadiness(options: ReadinessOptions): Readiness {
  const { cluster, discovery, observer, state, clock, concurrency } = options;
  const awaited = new Set<ObjectRefText>();
  let answers = new Map<string, Answer>();
  let earlier = answers;
  observer.tellEveryChangeOf(awaited);

  async function ask(rule: CompiledReadinessRule, ref: ObjectRefText, signal: AbortSignal): Promise<Answer> {
    const key = `${ref}\n${rule.expression}`;
    const known = answers.get(key) ?? earlier.get(key);
    const seen = observer.get(ref)?.resourceVersion ?? "";
    if (known && (seen === known.version || isOlder(seen, known.version))) {
      answers.set(key, known);
      return known;
    }
    const answer = await read(rule, ref, signal);
    if (answer.version !== "") answers.set(key, answer);
    return answer;
  }

  async function read({ compiled }: CompiledReadinessRule, ref: ObjectRefText, signal: AbortSignal): Promise<Answer> {
    if (compiled instanceof CodedError) return { version: "", isReady: false, problem: `${compiled.message} [${compiled.code}]` };
    let version = "";
    try {
      const parsed = parseObjectRef(ref);
      const live = await cluster.get(await discovery.typeOf(parsed), parsed.namespace, parsed.name, signal);
      if (!live) return { version, isReady: false, problem: "it is not there" };
      version = versionOf(live);
      return { version, isReady: compiled.evaluate(live) };
    } catch (error) {
      if (signal.aborted) throw error;
      const { code, message } = CodedError.from(error);
      // An object that was read says the same until it changes; one that could not be read may be readable soon.
      if (version === "") state.lookAgainAtMs = clock.monotonicMs() + RETRY_MS;
      return { version, isReady: false, problem: `${message} [${code}]` };
    }
  }

  return {
    begin() {
      awaited.clear();
      earlier = answers;
      answers = new Map();
      state.lookAgainAtMs = undefined;
    },
    async blockers(rules, signal) {
      const found: Blocker[] = [];
      for (const rule of rules) {
        const refs = objectsOf(rule, state);
        if (refs.length === 0) {
          const what = [rule.kind, rule.namespace, rule.name].filter((part) => part !== undefined).join(" ");
          found.push({ what: `${rule.bundle}: ${what}`, message: `The bundle ${rule.bundle}, on which it depends, has no ${what}` });
        }
        // Before they are read: what changes in between must wake us.
        for (const ref of refs) awaited.add(ref);
        await forEachLimited(refs, concurrency, async (ref) => {
          const { isReady, problem } = await ask(rule, ref, signal);
          if (isReady) return;
          const object = describeObjectRef(parseObjectRef(ref));
          const expression = rule.expression.replaceAll(/\s+/g, " ").trim();
          const why = problem === undefined ? `${expression} is false` : problem;
          found.push({
            what: `${rule.bundle}: ${object}: ${expression}`,
            message: `It depends on the bundle ${rule.bundle}, of which ${object} is not ready: ${why}`,
          });
        });
      }
      return found;
    },
  };
}

function objectsOf(rule: CompiledReadinessRule, state: ClusterState): ObjectRefText[] {
  return state
    .linesOf(rule.bundle)
    .map((line) => line.ref)
    .filter((text) => {
      const ref = parseObjectRef(text);
      return (
        ref.group === rule.group &&
        ref.kind === rule.kind &&
        (rule.namespace === undefined || ref.namespace === rule.namespace) &&
        (rule.name === undefined || ref.name === rule.name)
      );
    });
}
