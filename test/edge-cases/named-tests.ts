/** A test, and the ids that its name begins with. */
export interface NamedTest {
  readonly ids: readonly string[];
  readonly guarantee: string;
  readonly file: string;
}

/** Names of tests, and of groups of them, that begin with ids of edge cases. */
export function namedTests(text: string, file: string): NamedTest[] {
  const names = text.matchAll(/(["`])((?:[A-Z]{1,4}\d{1,3}(?:, | and )?)+): ((?:(?!\1)[^\n])+)\1/g);
  return [...names].map(([, , ids = "", guarantee = ""]) => ({ ids: ids.match(/E\d{3}/g) ?? [], guarantee, file }));
}
