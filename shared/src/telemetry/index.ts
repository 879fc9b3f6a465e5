/** Logs and metrics. The only folder that names pino and the Prometheus client. */
export { LogField } from "./log-fields.ts";
export type { Logger, LoggerOptions } from "./logger.ts";
export { createLogger, silentLogger } from "./logger.ts";
export type { Metrics } from "./metrics.ts";
export { createMetrics } from "./metrics.ts";
