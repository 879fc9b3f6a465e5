import { execFile, spawn } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "./free-port.ts";
import { RigError } from "./rig-error.ts";
import { createTempFolder } from "./temp-folder.ts";

const run = promisify(execFile);

/** What the server does wrong instead of answering. */
export interface GitFault {
  /** Answer with this HTTP status. */
  readonly status?: number;
  /** Take the request and never answer. */
  readonly hang?: boolean;
  /** Close the connection without an answer. */
  readonly drop?: boolean;
  /** Send only the first half of the answer, then close. */
  readonly truncate?: boolean;
  /** Wait this many milliseconds before answering. */
  readonly delayMs?: number;
  /** Only for requests whose path contains this: `info/refs`, `git-upload-pack`. */
  readonly match?: string;
  /** How many requests; default all until the fault is cleared. */
  readonly times?: number;
}

/** A Git server that speaks smart HTTP over bare repositories, with `git http-backend` doing the real work. */
export interface GitServer {
  readonly url: string;
  /** Makes a bare repository and a work tree beside it. */
  createRepository(name: string, options?: { readonly branch?: string }): Promise<GitRepository>;
  /** Injects a fault; null heals it. */
  setFault(fault: GitFault | null): void;
  /** Requires basic authentication from now on; null: anonymous. */
  setCredentials(credentials: { readonly username: string; readonly password: string } | null): void;
  /** Requests that have arrived, as `GET /fleet.git/info/refs`. */
  readonly requests: readonly string[];
  /** Cuts every connection and takes no more, as a server that died. Work trees still can push. */
  kill(): Promise<void>;
  /** Takes requests and answers none, until {@link resume}. */
  pause(): void;
  resume(): void;
  /** Is there again, on the same port and with the same repositories. */
  restart(): Promise<void>;
  /** Every repository is empty, as one that was made anew. */
  wipe(): Promise<void>;
  stop(): Promise<void>;
}

/** A repository with a work tree, for tests that act as people do. */
export interface GitRepository {
  readonly url: string;
  readonly workTree: string;
  /** Runs git in the work tree and gives its output. */
  git(...args: string[]): Promise<string>;
  /** Writes files (null deletes one), without committing. */
  write(files: Readonly<Record<string, string | null>>): void;
  symlink(path: string, target: string): void;
  /** Writes, commits everything and pushes; gives the commit id. */
  commit(message: string, files?: Readonly<Record<string, string | null>>): Promise<string>;
  push(options?: { readonly force?: boolean; readonly refspec?: string }): Promise<void>;
}

export async function startGitServer(): Promise<GitServer> {
  const folder = createTempFolder("git");
  const root = join(folder.path, "repositories");
  mkdirSync(root);
  const port = await freePort();
  let fault: GitFault | null = null;
  let faultsLeft = 0;
  let credentials: { username: string; password: string } | null = null;
  const requests: string[] = [];
  const backend = join((await run("git", ["--exec-path"])).stdout.trim(), "git-http-backend");

  let paused: PromiseWithResolvers<void> | undefined;
  const repositories: { readonly bare: string; readonly branch: string }[] = [];
  const server: Server = createServer(async (request, response) => {
    await paused?.promise;
    const url = new URL(request.url ?? "/", "http://git");
    requests.push(`${request.method} ${url.pathname}`);
    const active =
      fault && faultsLeft > 0 && (!fault.match || url.pathname.includes(fault.match) || url.search.includes(fault.match)) ? fault : null;
    if (active) faultsLeft -= 1;
    void answer(request, response, url, active).catch(() => response.destroy());
  });

  async function answer(request: IncomingMessage, response: ServerResponse, url: URL, active: GitFault | null): Promise<void> {
    if (active?.delayMs) await new Promise((resolve) => setTimeout(resolve, active.delayMs));
    if (active?.hang) return;
    if (active?.drop) {
      request.destroy();
      return;
    }
    if (active?.status) {
      response.writeHead(active.status, { "content-type": "text/plain" }).end("injected\n");
      return;
    }
    if (credentials) {
      const wanted = `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64")}`;
      if (request.headers.authorization !== wanted) {
        response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end("authentication required\n");
        return;
      }
    }
    await serveWithBackend({ backend, root, request, response, url, truncate: active?.truncate ?? false });
  }

  const listen = () =>
    new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
  const close = async () => {
    paused?.resolve();
    paused = undefined;
    if (!server.listening) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  };
  await listen();
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    requests,
    setFault(next) {
      fault = next;
      faultsLeft = next?.times ?? Number.POSITIVE_INFINITY;
    },
    setCredentials(next) {
      credentials = next;
    },
    async createRepository(name, options = {}) {
      const { branch = "main" } = options;
      repositories.push({ bare: join(root, `${name}.git`), branch });
      return await createRepository({ folder: folder.path, root, url, name, branch });
    },
    kill: close,
    pause() {
      paused ??= Promise.withResolvers();
    },
    resume() {
      paused?.resolve();
      paused = undefined;
    },
    async restart() {
      await close();
      await listen();
    },
    async wipe() {
      for (const { bare, branch } of repositories) {
        rmSync(bare, { recursive: true, force: true });
        await makeBare(bare, branch, folder.path);
      }
    },
    async stop() {
      await close();
      folder.remove();
    },
  };
}

/** CGI: headers and body of the answer come from the program's output (RFC 3875). */
async function serveWithBackend(options: {
  backend: string;
  root: string;
  request: IncomingMessage;
  response: ServerResponse;
  url: URL;
  truncate: boolean;
}): Promise<void> {
  const { backend, root, request, response, url, truncate } = options;
  const child = spawn(backend, [], {
    env: {
      PATH: process.env["PATH"] ?? "",
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: "1",
      PATH_INFO: url.pathname,
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method ?? "GET",
      CONTENT_TYPE: request.headers["content-type"] ?? "",
      CONTENT_LENGTH: request.headers["content-length"] ?? "",
      HTTP_CONTENT_ENCODING: request.headers["content-encoding"] ?? "",
      GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
      REMOTE_USER: "rig",
      GIT_CONFIG_COUNT: "1",
      GIT_CONFIG_KEY_0: "safe.directory",
      GIT_CONFIG_VALUE_0: "*",
    },
    stdio: ["pipe", "pipe", "ignore"],
  });
  child.stdin.on("error", () => {});
  request.pipe(child.stdin);
  const chunks: Buffer[] = [];
  for await (const chunk of child.stdout) chunks.push(chunk as Buffer);
  const output = Buffer.concat(chunks);
  const headEnd = output.indexOf("\r\n\r\n");
  if (headEnd < 0) throw new Error("no CGI answer");
  let status = 200;
  for (const line of output.subarray(0, headEnd).toString("latin1").split("\r\n")) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).trim();
    if (name.toLowerCase() === "status") status = Number.parseInt(value, 10);
    else response.setHeader(name, value);
  }
  const body = output.subarray(headEnd + 4);
  response.setHeader("content-length", body.length);
  response.writeHead(status);
  if (truncate) {
    response.write(body.subarray(0, Math.floor(body.length / 2)), () => response.destroy());
  } else {
    response.end(body);
  }
}

const IDENTITY = { name: "Ada Operator", email: "ada@acme.example" };

async function runGit(cwd: string, args: readonly string[], home: string): Promise<string> {
  const env = {
    PATH: process.env["PATH"] ?? "",
    HOME: home,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_AUTHOR_NAME: IDENTITY.name,
    GIT_AUTHOR_EMAIL: IDENTITY.email,
    GIT_COMMITTER_NAME: IDENTITY.name,
    GIT_COMMITTER_EMAIL: IDENTITY.email,
    GIT_TERMINAL_PROMPT: "0",
  };
  try {
    return (await run("git", [...args], { cwd, env, maxBuffer: 64 * 1024 * 1024 })).stdout.trim();
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    throw new RigError("RIG_COMMAND_FAILED", `git ${args.join(" ")}: ${stderr ?? message}`, { cause: error });
  }
}

async function makeBare(bare: string, branch: string, home: string): Promise<void> {
  mkdirSync(bare, { recursive: true });
  await runGit(bare, ["init", "--quiet", "--bare", `--initial-branch=${branch}`], home);
  await runGit(bare, ["config", "http.receivepack", "true"], home);
  await runGit(bare, ["config", "gc.auto", "0"], home);
  // A branch that vanishes is what hubs must survive; by default Git would not let it vanish.
  await runGit(bare, ["config", "receive.denyDeleteCurrent", "ignore"], home);
}

async function createRepository(options: {
  folder: string;
  root: string;
  url: string;
  name: string;
  branch: string;
}): Promise<GitRepository> {
  const { folder, root, url, name, branch } = options;
  const bare = join(root, `${name}.git`);
  const workTree = join(folder, "work", name);
  const git = (cwd: string, args: readonly string[]) => runGit(cwd, args, folder);
  await makeBare(bare, branch, folder);
  mkdirSync(workTree, { recursive: true });
  await git(workTree, ["init", "--quiet", `--initial-branch=${branch}`]);
  await git(workTree, ["remote", "add", "origin", bare]);
  // People commit here too, who may have no identity for Git, or sign what they commit.
  for (const [key, value] of [
    ["user.name", IDENTITY.name],
    ["user.email", IDENTITY.email],
    ["commit.gpgSign", "false"],
  ] as const)
    await git(workTree, ["config", key, value]);

  const repository: GitRepository = {
    url: `${url}/${name}.git`,
    workTree,
    git: (...args) => git(workTree, args),
    write(files) {
      for (const [path, content] of Object.entries(files)) {
        const full = join(workTree, path);
        if (content === null) rmSync(full, { recursive: true, force: true });
        else {
          mkdirSync(dirname(full), { recursive: true });
          writeFileSync(full, content);
        }
      }
    },
    symlink(path, target) {
      mkdirSync(dirname(join(workTree, path)), { recursive: true });
      symlinkSync(target, join(workTree, path));
    },
    async commit(message, files = {}) {
      repository.write(files);
      await git(workTree, ["add", "--all"]);
      await git(workTree, ["commit", "--quiet", "--allow-empty", "--no-verify", "--message", message]);
      await repository.push();
      return git(workTree, ["rev-parse", "HEAD"]);
    },
    async push({ force = false, refspec = "HEAD" } = {}) {
      await git(workTree, ["push", "--quiet", ...(force ? ["--force"] : []), "origin", refspec]);
    },
  };
  return repository;
}
