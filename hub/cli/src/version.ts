/** Version of this command; the same as the hub's of its release. */
export const CLI_VERSION = "0.1.0";
