import { generateKeyPairSync, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import { Agent, type Dispatcher, request } from "undici";
import { type AuditEntry, endOfAudit, readAudit } from "./audit-log.ts";
import { resolveBinary } from "./binaries.ts";
import { type Part, startPart } from "./child-process-part.ts";
import { freePort } from "./free-port.ts";
import type { KubernetesMinor } from "./kubernetes.ts";
import { RigError } from "./rig-error.ts";
import { createTempFolder } from "./temp-folder.ts";

/** Options of {@link startKubeApiserver}. */
export interface KubeApiserverOptions {
  /** Name of the cluster; its prefix in etcd. */
  readonly name: string;
  readonly etcdUrl: string;
  /** Default: that of the run; see `currentMinor`. */
  readonly minor?: KubernetesMinor;
  /** More arguments for the API server. */
  readonly args?: readonly string[];
  /**
   * Collects garbage early and often: a third less memory for twice the CPU under load. For tests, of which several run at once;
   * where something is measured, API servers run as they come. Default: where the machine has less than {@link ROOMY_BYTES}.
   */
  readonly lowMemory?: boolean;
}

/** A tiny client with the rights of system:masters. */
export interface AdminClient {
  /** Sends JSON and gives JSON; throws an Error with the API server's message on a status of 400 and above. */
  request<T = unknown>(method: Dispatcher.HttpMethod, path: string, body?: unknown, contentType?: string): Promise<T>;
  /** undefined on 404. */
  get<T = unknown>(path: string): Promise<T | undefined>;
  /** Every version of an object of a collection that was stored after a resource version, oldest first. A watch of a second. */
  changes<T = unknown>(path: string, resourceVersion: string): Promise<Change<T>[]>;
}

/** One version of an object: as it was stored, or as it was when it was deleted. */
export interface Change<T> {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: T;
}

/** A real kube-apiserver: one cluster without nodes. */
export interface KubeApiserver extends Part {
  readonly name: string;
  readonly url: string;
  readonly caPem: string;
  readonly adminToken: string;
  /** A kubeconfig for system:masters, mode 0600. */
  readonly kubeconfigPath: string;
  readonly auditLogPath: string;
  readonly admin: AdminClient;
  /** A token of a ServiceAccount (which is created if it does not exist), valid for `seconds` (default 3 600). */
  serviceAccountToken(namespace: string, name: string, seconds?: number): Promise<string>;
  /** Writes a kubeconfig that uses a token, and gives its path. `server`: where the API server is reached; default its own address. */
  writeKubeconfig(name: string, token: string, server?: string): string;
  /** Audit entries since the mark (default: all). */
  audit(mark?: AuditMark): AuditEntry[];
  /** “From now on.” */
  auditMark(): AuditMark;
  /** Stops it and starts it in another minor version, on the same port and objects. */
  changeMinor(minor: KubernetesMinor): Promise<void>;
  /** Stops it, deletes all of its objects in etcd, and starts it again, as an empty cluster of the same name. */
  wipe(): Promise<void>;
}

/** A place in the audit log, and when it was taken: a request that arrived earlier is sometimes logged only later. */
export interface AuditMark {
  readonly offset: number;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

/** Memory of a machine on which a few API servers more or less are nothing: 12 GiB. */
const ROOMY_BYTES = 12 * 2 ** 30;

const FROM_THE_START: AuditMark = { offset: 0, atMs: 0 };

/** Every request at its end, without bodies. Reads of the API server about itself are left out. */
const AUDIT_POLICY = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
  - level: None
    users: ["system:apiserver"]
  - level: Metadata
`;

export async function startKubeApiserver(options: KubeApiserverOptions): Promise<KubeApiserver> {
  const folder = createTempFolder(`apiserver-${options.name}`);
  const port = await freePort();
  const url = `https://127.0.0.1:${port}`;
  const certDir = join(folder.path, "certs");
  const auditLogPath = join(folder.path, "audit.log");
  const adminToken = randomBytes(24).toString("hex");
  mkdirSync(certDir);
  const keys = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const file = (name: string, content: string) => {
    const path = join(folder.path, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  };
  const privateKey = file("sa.key", keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString());
  const publicKey = file("sa.pub", keys.publicKey.export({ type: "spki", format: "pem" }).toString());
  const tokens = file("tokens.csv", `${adminToken},admin,admin-uid,"system:masters"\n`);
  const policy = file("audit.yaml", AUDIT_POLICY);

  let dispatcher: Agent | undefined;
  const caPath = join(certDir, "apiserver.crt");
  const send = async (method: Dispatcher.HttpMethod, path: string, body?: unknown, contentType = "application/json") => {
    dispatcher ??= new Agent({ connections: 4, connect: { ca: readFileSync(caPath) } });
    const answer = await request(`${url}${path}`, {
      method,
      dispatcher,
      headers: { authorization: `Bearer ${adminToken}`, ...(body === undefined ? {} : { "content-type": contentType }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.body.text();
    if (answer.statusCode >= 400)
      throw Object.assign(new Error(`${method} ${path}: ${answer.statusCode} ${text.slice(0, 400)}`), { status: answer.statusCode });
    return text;
  };
  const call: AdminClient["request"] = async <T>(...request: Parameters<AdminClient["request"]>) => {
    const text = await send(...request);
    return (text.startsWith("{") ? JSON.parse(text) : text) as T;
  };
  const admin: AdminClient = {
    request: call,
    async get<T>(path: string) {
      try {
        return await call<T>("GET", path);
      } catch (error) {
        if ((error as { status?: number }).status === 404) return undefined;
        throw error;
      }
    },
    async changes<T>(path: string, resourceVersion: string) {
      const text = await send("GET", `${path}?watch=1&timeoutSeconds=1&resourceVersion=${resourceVersion}`);
      const events = text.split("\n").filter((line) => line !== "");
      return events.map((line) => {
        const event = JSON.parse(line) as Change<T> | { readonly type: "ERROR"; readonly object: unknown };
        if (event.type === "ERROR") throw new RigError("RIG_COMMAND_FAILED", `the changes of ${path} cannot be told: ${line}`);
        return event;
      });
    },
  };

  const part = await startPart({
    name: `kube-apiserver ${options.name}`,
    command: await resolveBinary("kube-apiserver", options.minor),
    args: [
      `--etcd-servers=${options.etcdUrl}`,
      `--etcd-prefix=/${options.name}`,
      "--bind-address=127.0.0.1",
      `--secure-port=${port}`,
      "--advertise-address=127.0.0.1",
      "--endpoint-reconciler-type=none",
      `--cert-dir=${certDir}`,
      "--service-cluster-ip-range=10.0.0.0/24",
      `--service-account-issuer=${url}`,
      `--service-account-key-file=${publicKey}`,
      `--service-account-signing-key-file=${privateKey}`,
      `--token-auth-file=${tokens}`,
      "--authorization-mode=RBAC",
      "--disable-admission-plugins=ServiceAccount",
      `--audit-log-path=${auditLogPath}`,
      `--audit-policy-file=${policy}`,
      "--audit-log-mode=blocking",
      ...(options.args ?? []),
    ],
    env: (options.lowMemory ?? totalmem() < ROOMY_BYTES) ? { GOGC: "50", GOMEMLIMIT: "250MiB" } : {},
    cwd: folder.path,
    logPath: join(folder.path, "apiserver.log"),
    ports: [port],
    ready: async () => {
      if (!existsSync(caPath)) throw new Error("no certificate yet");
      // The file may have been read while it was being written: as long as nothing was answered, it is read again.
      await dispatcher?.destroy();
      dispatcher = undefined;
      await call("GET", "/readyz");
      // RBAC's own roles are made after readiness; without them a first binding may be refused.
      await call("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin");
      await call("GET", "/api/v1/namespaces/default");
    },
  });
  const caPem = readFileSync(caPath, "utf8");
  const writeKubeconfig = (name: string, token: string, server = url) =>
    file(`${name}.kubeconfig`, JSON.stringify(kubeconfig({ name: options.name, url: server, caPem, token })));

  return Object.assign(Object.create(part) as Part, {
    name: options.name,
    url,
    caPem,
    adminToken,
    auditLogPath,
    admin,
    kubeconfigPath: writeKubeconfig("admin", adminToken),
    writeKubeconfig,
    async serviceAccountToken(namespace: string, name: string, seconds = 3_600) {
      const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`;
      if (!(await admin.get(`${accounts}/${name}`))) await call("POST", accounts, { metadata: { name } });
      const answer = await call<{ status: { token: string } }>("POST", `${accounts}/${name}/token`, {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        spec: { expirationSeconds: seconds },
      });
      return answer.status.token;
    },
    audit: ({ offset, atMs }: AuditMark = FROM_THE_START) => readAudit(auditLogPath, offset).filter(({ at }) => Date.parse(at) >= atMs),
    auditMark: () => ({ offset: endOfAudit(auditLogPath), atMs: Date.now() }),
    async changeMinor(minor: KubernetesMinor) {
      await part.restart(await resolveBinary("kube-apiserver", minor));
    },
    async wipe() {
      await part.kill();
      const encode = (key: string) => Buffer.from(key).toString("base64");
      // From the prefix with its slash to just before what sorts after it.
      const range = { key: encode(`/${options.name}/`), range_end: encode(`/${options.name}0`) };
      const answer = await fetch(`${options.etcdUrl}/v3/kv/deleterange`, { method: "POST", body: JSON.stringify(range) });
      if (!answer.ok) throw new RigError("RIG_COMMAND_FAILED", `etcd answers ${answer.status} to the deletion of ${options.name}`);
      await part.restart();
    },
    async stop() {
      await dispatcher?.close();
      await part.stop();
      folder.remove();
    },
  });
}

/** A kubeconfig as JSON (which is YAML). */
function kubeconfig(options: { name: string; url: string; caPem: string; token: string }) {
  const { name, url, caPem, token } = options;
  return {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster: { server: url, "certificate-authority-data": Buffer.from(caPem).toString("base64") } }],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    "current-context": name,
  };
}
