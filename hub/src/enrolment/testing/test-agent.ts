import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { type AgentPublicKeys, enrolmentStatement } from "@muster/shared/wire";
import { createUser, type KeyPair } from "@nats-io/jwt";
import { fingerprintOf } from "../agent-keys.ts";
import type { EnrolmentQuestion } from "../enrolments.ts";

/** What a question says, and what its proof says where that differs. */
interface QuestionOptions {
  readonly trustDomain: string;
  readonly cluster: string;
  readonly token: string;
  readonly proofBy?: TestAgent;
  readonly natsProofBy?: TestAgent;
  readonly proofFor?: string;
  readonly proofToken?: string;
  readonly shown?: AgentPublicKeys;
}

/** Somebody with keys of his own. */
export interface TestAgent {
  readonly keys: AgentPublicKeys;
  readonly privateKey: KeyObject;
  readonly natsUser: KeyPair;
  readonly fingerprint: string;
  question(options: QuestionOptions): EnrolmentQuestion;
}

export function testAgent({ natsUser = createUser() }: { readonly natsUser?: KeyPair } = {}): TestAgent {
  const nats = natsUser.getPublicKey();
  const tls = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const encryption = generateKeyPairSync("x25519").publicKey.export({ type: "spki", format: "der" }).subarray(-32);
  const keys = { tls: tls.publicKey.export({ type: "spki", format: "der" }), nats, encryption };
  return {
    keys,
    privateKey: tls.privateKey,
    natsUser,
    fingerprint: fingerprintOf(keys.tls),
    question({ trustDomain, cluster, token, proofBy, natsProofBy, proofFor = cluster, proofToken = token, shown = keys }) {
      const statement = enrolmentStatement({ trustDomain, cluster: proofFor, token: proofToken, keys });
      const key = proofBy?.privateKey ?? tls.privateKey;
      const natsProof = (natsProofBy?.natsUser ?? natsUser).sign(statement);
      return { cluster, token, keys: shown, proof: sign("sha256", statement, { key, dsaEncoding: "ieee-p1363" }), natsProof };
    },
  };
}
