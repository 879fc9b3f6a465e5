import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sshString } from "../ssh-wire.ts";

/** Somebody who signs commits with an Ed25519 key; no ssh-keygen is needed. */
export interface SshSigner {
  /** A line of allowed_signers. */
  readonly line: string;
  /** Arguments of git, before its command, with which it signs as this one. */
  readonly git: readonly string[];
}

export function createSshSigner(folder: string, name: string): SshSigner {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const keyFile = join(folder, `${name}.pem`);
  writeFileSync(keyFile, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  const spki = publicKey.export({ type: "spki", format: "der" });
  const blob = Buffer.concat([sshString("ssh-ed25519"), sshString(spki.subarray(-32))]).toString("base64");
  writeFileSync(`${keyFile}.blob`, blob);
  // Git calls it as ssh-keygen: -Y sign -n git -f KEY FILE.
  const program = join(folder, "ssh-sign");
  writeFileSync(program, `#!/bin/sh\nexec "${process.execPath}" "${import.meta.filename}" "$@"\n`);
  chmodSync(program, 0o755);
  const settings = { "gpg.format": "ssh", "gpg.ssh.program": program, "user.signingkey": keyFile };
  return {
    line: `${name}@example.com ssh-ed25519 ${blob}`,
    git: Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`]),
  };
}

/** What `ssh-keygen -Y sign` writes beside the file. */
function signFile(keyFile: string, namespace: string, file: string): void {
  const digest = createHash("sha512").update(readFileSync(file)).digest();
  const data = Buffer.concat([Buffer.from("SSHSIG"), ...[namespace, "", "sha512", digest].map(sshString)]);
  const signature = Buffer.concat([sshString("ssh-ed25519"), sshString(sign(null, data, readFileSync(keyFile, "utf8")))]);
  const key = Buffer.from(readFileSync(`${keyFile}.blob`, "utf8"), "base64");
  const parts = [key, namespace, "", "sha512", signature].map(sshString);
  const blob = Buffer.concat([Buffer.from("SSHSIG"), Buffer.from([0, 0, 0, 1]), ...parts]).toString("base64");
  const lines = blob.match(/.{1,70}/g) ?? [];
  writeFileSync(`${file}.sig`, `-----BEGIN SSH SIGNATURE-----\n${lines.join("\n")}\n-----END SSH SIGNATURE-----\n`);
}

if (import.meta.main) {
  const args = process.argv.slice(2);
  const after = (flag: string) => args[args.indexOf(flag) + 1] ?? "";
  signFile(after("-f"), after("-n"), args.at(-1) ?? "");
}
