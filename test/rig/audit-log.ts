import { closeSync, existsSync, fstatSync, openSync, readSync, statSync } from "node:fs";

/** One request that an API server has answered: the independent oracle of who wrote or deleted what. */
export interface AuditEntry {
  /** RFC 3339, when the request arrived. */
  readonly at: string;
  /** RFC 3339, when it was answered to the end. */
  readonly endedAt: string;
  readonly user: string;
  /** In whose name the user asked; empty: in its own. */
  readonly impersonated: string;
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
  stageTimestamp?: string;
  user?: { username?: string };
  impersonatedUser?: { username?: string };
  verb?: string;
  userAgent?: string;
  requestURI?: string;
  objectRef?: { apiGroup?: string; resource?: string; subresource?: string; namespace?: string; name?: string };
  responseStatus?: { code?: number };
}

const NEWLINE = 0x0a;
const MAX_ENTRY_BYTES = 4 * 1024 * 1024;

/**
 * Reads the entries of an audit log from a byte offset on, which {@link endOfAudit} gave. Exact, because the log is written before
 * the answer (mode blocking); what stands behind the last end of a line is still being written, so its request is not answered yet.
 */
export function readAudit(path: string, offset = 0): AuditEntry[] {
  const bytes = readFrom(path, offset);
  return bytes
    .subarray(0, bytes.lastIndexOf(NEWLINE) + 1)
    .toString("utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => toEntry(JSON.parse(line) as RawEntry));
}

/** Byte offset behind the last whole entry: where the entry that is being written begins. */
export function endOfAudit(path: string): number {
  // No entry is as long; a log can be, and marks are taken often.
  const from = existsSync(path) ? Math.max(0, statSync(path).size - MAX_ENTRY_BYTES) : 0;
  const end = readFrom(path, from).lastIndexOf(NEWLINE) + 1;
  return end === 0 ? 0 : from + end;
}

function readFrom(path: string, offset: number): Buffer {
  if (!existsSync(path)) return Buffer.alloc(0);
  const file = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(Math.max(0, fstatSync(file).size - offset));
    return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, offset));
  } finally {
    closeSync(file);
  }
}

function toEntry(raw: RawEntry): AuditEntry {
  const uri = raw.requestURI ?? "";
  return {
    at: raw.requestReceivedTimestamp ?? "",
    endedAt: raw.stageTimestamp ?? "",
    user: raw.user?.username ?? "",
    impersonated: raw.impersonatedUser?.username ?? "",
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
