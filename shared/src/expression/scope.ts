import type { CelValue } from "./values.ts";

/** What names stand for, the innermost first. */
export interface Scope {
  readonly name: string;
  readonly value: CelValue;
  readonly outer?: Scope;
}
