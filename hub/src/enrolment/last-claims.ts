/** Options of {@link lastClaims}. */
export interface LastClaimsOptions<R extends object> {
  readonly make: (revocations: R) => Promise<readonly string[]>;
  readonly revocations: () => R;
  /** false: what is to be told is not known yet. Default: it always is. */
  readonly isReady?: () => boolean;
}

/** Makes claims anew only when something has changed: each making is another text, which every server would have to take. Gives none before. */
export function lastClaims<R extends object>({
  make,
  revocations,
  isReady = () => true,
}: LastClaimsOptions<R>): () => Promise<readonly string[]> {
  let last: { readonly key: string; readonly made: Promise<readonly string[]> } | undefined;
  return async () => {
    if (!isReady()) return [];
    const now = revocations();
    const key = JSON.stringify(now);
    if (last?.key !== key) last = { key, made: make(now) };
    return last.made;
  };
}
