import { createAccount, createUser, fromPublic } from "@nats-io/jwt";
import { expect, it } from "vitest";
import { isSignedByNatsKey, pairOf } from "./fast-nkeys.ts";

const BYTES = Buffer.from("what is signed");

it("keys sign as the library's do, bit by bit, and each verifies what the other has signed", () => {
  for (let time = 0; time < 20; time += 1) {
    const slow = time % 2 === 0 ? createUser() : createAccount();
    const fast = pairOf(new TextDecoder().decode(slow.getSeed()));
    expect(fast.getPublicKey()).toBe(slow.getPublicKey());
    expect(Buffer.from(fast.sign(BYTES))).toEqual(Buffer.from(slow.sign(BYTES)));
    expect(fromPublic(slow.getPublicKey()).verify(BYTES, fast.sign(BYTES))).toBe(true);
    expect(isSignedByNatsKey(slow.getPublicKey(), BYTES, slow.sign(BYTES))).toBe(true);
  }
});

it("another key, other bytes, a changed signature and what is no key at all are refused", () => {
  const [one, two] = [createUser(), createUser()];
  const signature = one.sign(BYTES);
  expect(isSignedByNatsKey(two.getPublicKey(), BYTES, signature)).toBe(false);
  expect(isSignedByNatsKey(one.getPublicKey(), Buffer.from("another"), signature)).toBe(false);
  expect(
    isSignedByNatsKey(
      one.getPublicKey(),
      BYTES,
      signature.map((byte, at) => (at === 3 ? byte ^ 1 : byte)),
    ),
  ).toBe(false);
  expect(isSignedByNatsKey(one.getPublicKey(), BYTES, signature.slice(1))).toBe(false);
  const wrongSum = `${one.getPublicKey().slice(0, -1)}${one.getPublicKey().endsWith("A") ? "B" : "A"}`;
  for (const key of ["", "U", "none", wrongSum]) expect([key, isSignedByNatsKey(key, BYTES, signature)]).toEqual([key, false]);
});

it("a seed that is none makes no pair", () => {
  expect(() => pairOf("none")).toThrow();
});
