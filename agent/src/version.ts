/** Version of this agent; the same as the chart's appVersion. */
export const AGENT_VERSION = "0.1.0";
