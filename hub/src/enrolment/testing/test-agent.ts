import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { type AgentPublicKeys, enrolmentStatement } from "@muster/shared/wire";
import { createUser } from "@nats-io/jwt";
import { fingerprintOf } from "../agent-keys.ts";
import type { EnrolmentQuestion } from "../enrolments.ts";

/** What a question says, and what its proof says where that differs. */
interface QuestionOptions {
  readonly trustDomain: string;
  readonly cluster: string;
  readonly token: string;
  readonly proofBy?: TestAgent;
  readonly proofFor?: string;
  readonly proofToken?: string;
  readonly shown?: AgentPublicKeys;
}

/** Somebody with keys of his own. */
export interface TestAgent {
  readonly keys: AgentPublicKeys;
  readonly privateKey: KeyObject;
  readonly fingerprint: string;
  question(options: QuestionOptions): EnrolmentQuestion;
}

export function testAgent({ nats = createUser().getPublicKey() }: { readonly nats?: string } = {}): TestAgent {
  const tls = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const encryption = generateKeyPairSync("x25519").publicKey.export({ type: "spki", format: "der" }).subarray(-32);
  const keys = { tls: tls.publicKey.export({ type: "spki", format: "der" }), nats, encryption };
  return {
    keys,
    privateKey: tls.privateKey,
    fingerprint: fingerprintOf(keys.tls),
    question({ trustDomain, cluster, token, proofBy, proofFor = cluster, proofToken = token, shown = keys }) {
      const statement = enrolmentStatement({ trustDomain, cluster: proofFor, token: proofToken, keys });
      const key = proofBy?.privateKey ?? tls.privateKey;
      return { cluster, token, keys: shown, proof: sign("sha256", statement, { key, dsaEncoding: "ieee-p1363" }) };
    },
  };
}
