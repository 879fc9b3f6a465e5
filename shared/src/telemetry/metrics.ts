import { Counter, Gauge, Histogram, Registry } from "@prometheus-io/client";

/** A registry of one process. Asked twice for a name it gives the same metric: an agent that stood by begins its work anew. Names are `muster_<side>_<what>_<unit>`; counters end in `_total`, durations are in seconds. */
export interface Metrics {
  counter(name: string, help: string, labels?: readonly string[]): { add(value?: number, labels?: Record<string, string>): void };
  gauge(name: string, help: string, labels?: readonly string[]): { set(value: number, labels?: Record<string, string>): void };
  /** A gauge that is asked when scraped. */
  observed(name: string, help: string, read: () => number): void;
  histogram(
    name: string,
    help: string,
    options?: { labels?: readonly string[]; buckets?: readonly number[] },
  ): { observe(value: number, labels?: Record<string, string>): void };
  /** The Prometheus text format. */
  text(): Promise<string>;
  readonly contentType: string;
}

/** Buckets in seconds that show both a fast apply and a slow one. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export function createMetrics(): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({});
  const registers = [registry];
  const made = new Map<string, unknown>();
  const once = <T>(name: string, make: () => T): T => {
    const known = (made.get(name) as T | undefined) ?? make();
    made.set(name, known);
    return known;
  };
  return {
    counter(name, help, labels = []) {
      const metric = once(name, () => new Counter({ name, help, labelNames: [...labels], registers }));
      return { add: (value = 1, values = {}) => metric.inc(values, value) };
    },
    gauge(name, help, labels = []) {
      const metric = once(name, () => new Gauge({ name, help, labelNames: [...labels], registers }));
      return { set: (value, values = {}) => metric.set(values, value) };
    },
    observed(name, help, read) {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    },
    histogram(name, help, { labels = [], buckets = SECONDS } = {}) {
      const metric = once(name, () => new Histogram({ name, help, labelNames: [...labels], buckets: [...buckets], registers }));
      return { observe: (value, values = {}) => metric.observe(values, value) };
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
