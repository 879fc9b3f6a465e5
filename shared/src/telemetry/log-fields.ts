/** Names of log fields. Code uses these, never loose strings, so that one query finds all lines about one thing. */
export const LogField = {
  Cluster: "cluster",
  Bundle: "bundle",
  Source: "source",
  Commit: "commit",
  Generation: "generation",
  Object: "object",
  Code: "code",
  Part: "part",
  DurationMs: "durationMs",
  Count: "count",
  Error: "err",
  /** Id of an HTTP request; its answer carries the same in `x-request-id`. */
  Request: "requestId",
  /** Method and pattern of the URL, never the URL itself. */
  Route: "route",
  Status: "status",
} as const;
