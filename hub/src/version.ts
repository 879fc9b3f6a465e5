/** Version of this hub; the same as the chart's appVersion. */
export const HUB_VERSION = "0.1.0";
