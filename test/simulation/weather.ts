import { CodedError } from "@muster/shared/errors";
import { errorFromAnswer } from "../../agent/src/kube/map-error.ts";
import type { LinkRequest } from "../../agent/src/kube/testing/memory/memory-cluster.ts";
import type { SeededRandom } from "../rig/seeded-random.ts";

/** What goes wrong between an agent and the API server now. All of it off is fair weather. */
export interface Weather {
  /** Nothing gets through. */
  down: boolean;
  /** Share of requests of which the answer, or the request itself, is lost. */
  lost: number;
  /** Share of requests that are answered with 429, 500 or 503. */
  refused: number;
  /** Resources that RBAC forbids, by their plural. */
  forbidden: ReadonlySet<string>;
  /** Share of watches that hang silently from the beginning. */
  silent: number;
  /** Longest way of a request or an answer, in milliseconds. */
  slowMs: number;
}

export function fairWeather(): Weather {
  return { down: false, lost: 0, refused: 0, forbidden: new Set(), silent: 0, slowMs: 20 };
}

/** What becomes of one request. */
export type Fate =
  /** It arrives, and the answer too. */
  | { readonly kind: "answered" }
  /** The answer is an error, and nothing was done. */
  | { readonly kind: "refused"; readonly error: CodedError }
  /** It arrives; the answer does not. */
  | { readonly kind: "unanswered"; readonly afterMs: number }
  /** It arrives when the client has given up already. */
  | { readonly kind: "late"; readonly afterMs: number; readonly lateMs: number }
  /** It never arrives. */
  | { readonly kind: "lost"; readonly afterMs: number };

/** The client gives up on a request after this time, in milliseconds. */
const PATIENCE_MS = 30_000;

export function fateOf(request: LinkRequest, weather: Weather, random: SeededRandom): Fate {
  if (weather.down) return { kind: "lost", afterMs: random.chance(0.8) ? 1 + random.below(50) : PATIENCE_MS };
  if (request.type && weather.forbidden.has(request.type.plural)) return { kind: "refused", error: forbidden(request) };
  if (random.chance(weather.refused)) return { kind: "refused", error: overloaded(request, random) };
  if (!random.chance(weather.lost)) return { kind: "answered" };
  // A connection that is cut is noticed at once, one that is silent only after a while.
  const afterMs = random.chance(0.7) ? 1 + random.below(200) : PATIENCE_MS;
  const dice = random.next();
  if (dice < 0.4) return { kind: "lost", afterMs };
  if (dice < 0.85) return { kind: "unanswered", afterMs };
  return { kind: "late", afterMs: 1 + random.below(50), lateMs: 1 + random.below(1_500) };
}

/** What a client sees of a request that got no answer. */
export function unanswered({ verb, type, name }: LinkRequest): CodedError {
  return new CodedError("KUBE_UNREACHABLE", `${verb} ${type?.kind ?? ""} ${name}: no answer from the API server (ECONNRESET)`);
}

function forbidden({ verb, type, name }: LinkRequest): CodedError {
  const message = `${type?.plural} "${name}" is forbidden: User "agent" cannot ${verb} resource "${type?.plural}" in API group "${type?.group}"`;
  return errorFromAnswer(403, JSON.stringify({ kind: "Status", reason: "Forbidden", message }), { verb, what: name });
}

function overloaded({ verb, name }: LinkRequest, random: SeededRandom): CodedError {
  const subject = { verb, what: name };
  const dice = random.next();
  if (dice < 0.5) {
    const body = JSON.stringify({ kind: "Status", reason: "TooManyRequests", message: "Too many requests, please try again later." });
    return errorFromAnswer(429, body, subject, String(1 + random.below(5)));
  }
  const message = dice < 0.8 ? "etcdserver: request timed out" : "apiserver is shutting down";
  return errorFromAnswer(dice < 0.8 ? 500 : 503, JSON.stringify({ kind: "Status", reason: "InternalError", message }), subject);
}
