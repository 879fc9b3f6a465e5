import type { SeededRandom } from "./seeded-random.ts";
import type { Cut } from "./tcp-fault-pipe.ts";
import type { HalfOpenSide, LinkFault, TcpFaultProxy } from "./tcp-fault-proxy.ts";

/** One step: something happens to a link, then it stays so for a while. */
export interface FaultStep {
  readonly name: string;
  /** What is done to open connections at its beginning. */
  readonly begin?: { readonly cut: Cut } | { readonly halfOpen: HalfOpenSide };
  readonly fault?: LinkFault;
  readonly forMs: number;
}

/** Faults as they may follow one another on one link; the same for the same chance. */
export function faultSchedule(
  random: SeededRandom,
  { steps, longestMs }: { readonly steps: number; readonly longestMs: number },
): FaultStep[] {
  const either = <T>(one: T, other: T): T => (random.chance(0.5) ? one : other);
  const oneWay = (stream: NonNullable<LinkFault["up"]>): LinkFault => either({ up: stream }, { down: stream });
  const makers: readonly (() => Omit<FaultStep, "forMs">)[] = [
    () => ({ name: "well" }),
    () => ({ name: "latency", fault: oneWay({ latencyMs: 50 + random.below(400), jitterMs: random.below(200) }) }),
    () => ({ name: "slow", fault: oneWay({ bytesPerSecond: 2_000 + random.below(50_000) }) }),
    () => ({ name: "blackhole", fault: oneWay({ blackhole: true }) }),
    () => ({ name: "flips", fault: oneWay({ flipEveryBytes: 200 + random.below(5_000) }) }),
    () => ({ name: "cut", fault: oneWay({ cutAfterBytes: random.below(4_000), cut: either("rst", "fin") }) }),
    () => {
      const halfOpen = either("client", "server") as HalfOpenSide;
      return { name: "half open", begin: { halfOpen } };
    },
    () => {
      const cut = either("rst", "fin") as Cut;
      return { name: "down", begin: { cut }, fault: { connect: either("refuse", "hang") } };
    },
  ];
  return Array.from({ length: steps }, () => ({ ...random.pick(makers)(), forMs: Math.round(longestMs * (0.2 + 0.8 * random.next())) }));
}

/** Plays a schedule to its end and leaves the link well. */
export async function playFaults(proxy: TcpFaultProxy, schedule: readonly FaultStep[]): Promise<void> {
  for (const { begin, fault, forMs } of schedule) {
    proxy.setFault(fault);
    if (begin && "cut" in begin) proxy.cut(begin.cut);
    if (begin && "halfOpen" in begin) proxy.halfOpen(begin.halfOpen);
    await new Promise((resolve) => setTimeout(resolve, forMs));
  }
  proxy.setFault(undefined);
}
