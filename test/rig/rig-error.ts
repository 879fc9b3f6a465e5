/** A part of the rig cannot do its work. The code is for tests and scripts. */
export class RigError extends Error {
  override readonly name = "RigError";
  readonly code:
    | "RIG_GO_MISSING"
    | "RIG_BUILD_FAILED"
    | "RIG_START_FAILED"
    | "RIG_PORT_BUSY"
    | "RIG_COMMAND_FAILED"
    | "RIG_KUBERNETES_UNKNOWN";
  constructor(code: RigError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
