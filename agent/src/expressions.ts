/** What reads CEL. The agents of most clusters never need it. */
export type Expressions = typeof import("@muster/shared/expression");

/** Imports what reads CEL, on the first call; until then it takes no memory. */
export function loadExpressions(): Promise<Expressions> {
  return import("@muster/shared/expression");
}
