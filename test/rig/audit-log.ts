import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";

/** One request that an API server has answered: the independent oracle of who wrote or deleted what. */
export interface AuditEntry {
  /** RFC 3339, when the request arrived. */
  readonly at: string;
  readonly user: string;
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  /** HTTP status of the answer. */
  readonly code: number;
  readonly dryRun: boolean;
  readonly userAgent: string;
  readonly requestUri: string;
}

interface RawEntry {
  requestReceivedTimestamp?: string;
  user?: { username?: string };
  verb?: string;
  userAgent?: string;
  requestURI?: string;
  objectRef?: { apiGroup?: string; resource?: string; subresource?: string; namespace?: string; name?: string };
  responseStatus?: { code?: number };
}

/** Reads the entries of an audit log from a byte offset on. Exact, because the log is written before the answer (mode blocking). */
export function readAudit(path: string, offset = 0): AuditEntry[] {
  if (!existsSync(path)) return [];
  const file = openSync(path, "r");
  try {
    const length = Math.max(0, fstatSync(file).size - offset);
    const bytes = Buffer.alloc(length);
    readSync(file, bytes, 0, length, offset);
    return bytes
      .toString("utf8")
      .split("\n")
      .filter((line) => line.endsWith("}"))
      .map((line) => toEntry(JSON.parse(line) as RawEntry));
  } finally {
    closeSync(file);
  }
}

function toEntry(raw: RawEntry): AuditEntry {
  const uri = raw.requestURI ?? "";
  return {
    at: raw.requestReceivedTimestamp ?? "",
    user: raw.user?.username ?? "",
    verb: raw.verb ?? "",
    group: raw.objectRef?.apiGroup ?? "",
    resource: raw.objectRef?.resource ?? "",
    subresource: raw.objectRef?.subresource ?? "",
    namespace: raw.objectRef?.namespace ?? "",
    name: raw.objectRef?.name ?? "",
    code: raw.responseStatus?.code ?? 0,
    dryRun: /[?&]dryRun=/.test(uri),
    userAgent: raw.userAgent ?? "",
    requestUri: uri,
  };
}

const MUTATING = new Set(["create", "update", "patch", "delete", "deletecollection"]);

/** Reviews are questions that are asked with POST; they store nothing. */
const QUESTIONS = /^(selfsubject\w*|subjectaccess|localsubjectaccess|token)reviews$/;

/** True if the request was meant to change something that is stored. */
export function isMutating(entry: AuditEntry): boolean {
  return MUTATING.has(entry.verb) && !entry.dryRun && !QUESTIONS.test(entry.resource) && entry.subresource !== "token";
}

/** Deletions among the entries, as `namespace/resource/name`. */
export function deletions(entries: readonly AuditEntry[]): string[] {
  return entries
    .filter((entry) => entry.verb.startsWith("delete") && !entry.dryRun && entry.code < 400)
    .map((entry) => `${entry.namespace}/${entry.resource}/${entry.name}`);
}
