/**
 * Named places where a test can make the process die. A no-op unless `MUSTER_FAILPOINTS` names the point, as
 * `agent.afterApply=exit@3,hub.beforeAck=exit` (at its third passing; default the first). Actions: exit (code 137), throw.
 */
export type Failpoint = (name: string) => void;

/** Parses the specification once; `count` per point lives in the closure. */
export function createFailpoints(specification: string | undefined, exit: (code: number) => never = process.exit): Failpoint {
  if (!specification) return () => {};
  const points = new Map<string, { action: string; at: number; seen: number }>();
  for (const part of specification.split(",")) {
    const match = /^([\w.-]+)=(exit|throw)(?:@(\d+))?$/.exec(part.trim());
    if (!match?.[1] || !match[2]) throw new RangeError(`not a failpoint: ${part}`);
    points.set(match[1], { action: match[2], at: Number(match[3] ?? 1), seen: 0 });
  }
  return (name) => {
    const point = points.get(name);
    if (!point) return;
    point.seen += 1;
    if (point.seen !== point.at) return;
    if (point.action === "exit") exit(137);
    throw new Error(`failpoint ${name}`);
  };
}
