/** Makes claims anew only when something has changed: each making is another text, which every server would have to take. */
export function lastClaims<R extends object>(
  make: (revocations: R) => Promise<readonly string[]>,
  revocations: () => R,
): () => Promise<readonly string[]> {
  let last: { readonly key: string; readonly made: Promise<readonly string[]> } | undefined;
  return () => {
    const now = revocations();
    const key = JSON.stringify(now);
    if (last?.key !== key) last = { key, made: make(now) };
    return last.made;
  };
}
