import { jwtAuthenticator, nkeys } from "nats";

/** A key of a NATS user: the seed stays here, the public half goes to the hub. */
export interface NatsUser {
  readonly seed: string;
  readonly publicKey: string;
}

export function createNatsUser(): NatsUser {
  const pair = nkeys.createUser();
  return { seed: new TextDecoder().decode(pair.getSeed()), publicKey: pair.getPublicKey() };
}

/** Throws if it is no seed. */
export function natsUserOf(seed: string): NatsUser {
  return { seed, publicKey: nkeys.fromSeed(new TextEncoder().encode(seed)).getPublicKey() };
}

/** An Ed25519 signature by the user's key. */
export function signAsNatsUser(seed: string, bytes: Uint8Array): Uint8Array {
  return nkeys.fromSeed(new TextEncoder().encode(seed)).sign(bytes);
}

/** Asked at every connect, so that a renewed JWT needs no restart. */
export function natsAuthenticator(current: () => { readonly jwt: string; readonly seed: string }): ReturnType<typeof jwtAuthenticator> {
  return jwtAuthenticator(
    () => current().jwt,
    () => new TextEncoder().encode(current().seed),
  );
}
