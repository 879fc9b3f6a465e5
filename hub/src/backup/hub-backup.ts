import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CodedError } from "@muster/shared/errors";
import { armor, Decrypter, Encrypter } from "age-encryption";
import { z } from "zod";
import { UNFINISHED_RESTORE } from "../identity/identity.ts";
import { readPrivateFile, replacePrivateFile } from "../identity/private-files.ts";

/** What makes a hub the hub that its agents know, below its data folder. Everything else there is made anew. */
const FILES = ["signing-key.pem", "ca.json", "nats/seeds.json", "nats/hub-account.seed", "api-token", "webhook-secret"] as const;
/** Who acts for which cluster, and who must not any more. */
const AGENT_FILE = /^agents\/[a-z0-9-]{1,63}\.json$/;
/** Without these it is none. */
const NEEDED: readonly string[] = ["signing-key.pem", "ca.json", "nats/seeds.json", "nats/hub-account.seed"];

const CONTENT = z.strictObject({
  format: z.literal("muster.dev/hub-backup/v1"),
  trustDomain: z.string().min(1),
  madeAt: z.iso.datetime(),
  files: z
    .record(
      z.string().refine((name) => (FILES as readonly string[]).includes(name) || AGENT_FILE.test(name), "is no file of a hub"),
      z.string().min(1),
    )
    .refine((files) => NEEDED.every((name) => name in files), `has not all of ${NEEDED.join(", ")}`),
});

/** For whom a backup is: age recipients (`age1…`), or a passphrase. */
export type BackupLock = { readonly recipients: readonly string[] } | { readonly passphrase: string };
/** What opens it. */
export type BackupKey = { readonly identity: string } | { readonly passphrase: string };

/** Options of {@link createBackup}. */
export interface BackupOptions {
  readonly dataDir: string;
  readonly trustDomain: string;
  readonly lock: BackupLock;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
}

/**
 * The hub's keys in one text, encrypted with age (https://age-encryption.org/v1), armoured: `age -d` opens it too. Throws CLI_USAGE where a
 * recipient is none, CONFIG_INVALID where there is no hub yet.
 */
export async function createBackup({ dataDir, trustDomain, lock, nowMs }: BackupOptions): Promise<string> {
  const encrypter = new Encrypter();
  if ("passphrase" in lock) encrypter.setPassphrase(lock.passphrase);
  else for (const recipient of lock.recipients) addRecipient(encrypter, recipient);
  const agents = join(dataDir, "agents");
  const names = [...FILES, ...(existsSync(agents) ? readdirSync(agents).map((file) => `agents/${file}`) : [])].filter(
    (name) => ((FILES as readonly string[]).includes(name) || AGENT_FILE.test(name)) && existsSync(join(dataDir, name)),
  );
  const missing = NEEDED.filter((name) => !names.includes(name));
  if (missing.length > 0) throw new CodedError("CONFIG_INVALID", `There is no hub in ${dataDir}: ${missing.join(", ")} is missing`);
  const files = Object.fromEntries(names.map((name) => [name, readPrivateFile(join(dataDir, name))]));
  const content: z.output<typeof CONTENT> = {
    format: "muster.dev/hub-backup/v1",
    trustDomain,
    madeAt: new Date(nowMs).toISOString(),
    files,
  };
  return armor.encode(await encrypter.encrypt(JSON.stringify(content)));
}

function addRecipient(encrypter: Encrypter, recipient: string): void {
  try {
    encrypter.addRecipient(recipient);
  } catch (cause) {
    // Not told: it may be a private key, given by mistake.
    throw new CodedError("CLI_USAGE", "What was given is no age recipient (age1…)", { cause });
  }
}

/** What a restore has put back. */
export interface Restored {
  readonly trustDomain: string;
  readonly madeAt: string;
  readonly files: number;
}

/**
 * Puts a hub's keys into a data folder that has none. Throws BACKUP_UNREADABLE where the text cannot be opened or is none, CONFIG_INVALID where
 * the folder belongs to a hub already, or the backup is another trust domain's; then nothing was written. Broken off in the middle, it
 * is begun anew by the same call, and no hub starts from it until then.
 */
export async function restoreBackup(options: {
  readonly text: string;
  readonly key: BackupKey;
  readonly dataDir: string;
  readonly trustDomain: string;
}): Promise<Restored> {
  const { dataDir, trustDomain } = options;
  const { files, madeAt, ...content } = await open(options.text, options.key);
  // One that broke off in the middle is begun anew.
  const isAgain = existsSync(join(dataDir, UNFINISHED_RESTORE));
  const there = Object.keys(files).filter((name) => !isAgain && existsSync(join(dataDir, name)));
  if (there.length > 0)
    throw new CodedError(
      "CONFIG_INVALID",
      `${dataDir} is a hub's already: it has ${there.slice(0, 3).join(", ")}. Restore into an empty folder`,
    );
  if (content.trustDomain !== trustDomain)
    throw new CodedError("CONFIG_INVALID", `The backup is of the trust domain ${content.trustDomain}, the configuration of ${trustDomain}`);
  replacePrivateFile(join(dataDir, UNFINISHED_RESTORE), madeAt);
  for (const [name, text] of Object.entries(files))
    replacePrivateFile(join(dataDir, name), AGENT_FILE.test(name) ? revokedOnly(text) : text);
  rmSync(join(dataDir, UNFINISHED_RESTORE));
  return { trustDomain, madeAt, files: Object.keys(files).length };
}

/**
 * Who acts for a cluster may have changed since: whoever comes with a good certificate does, and is known from then on. Only who was kept out stays
 * out; who was revoked after the backup has to be revoked again.
 */
function revokedOnly(text: string): string {
  const { revoked } = z.looseObject({ revoked: z.array(z.unknown()) }).parse(JSON.parse(text));
  return `${JSON.stringify({ version: 1, revoked }, null, 2)}\n`;
}

async function open(text: string, key: BackupKey): Promise<z.output<typeof CONTENT>> {
  try {
    const decrypter = new Decrypter();
    if ("passphrase" in key) decrypter.addPassphrase(key.passphrase);
    else decrypter.addIdentity(key.identity);
    return CONTENT.parse(JSON.parse(await decrypter.decrypt(armor.decode(text), "text")));
  } catch (cause) {
    // What was wrong with it may quote what is in it.
    const why =
      cause instanceof z.ZodError ? `it is no backup of a hub: ${cause.issues[0]?.message ?? ""}` : "it cannot be opened with this key";
    throw new CodedError("BACKUP_UNREADABLE", `The backup cannot be restored: ${why}`);
  }
}
