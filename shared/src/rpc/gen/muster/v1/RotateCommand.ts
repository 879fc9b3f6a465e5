// Original file: proto/muster/v1/agent.proto


/**
 * Make other keys, and renew with them.
 */
export interface RotateCommand {
}

/**
 * Make other keys, and renew with them.
 */
export interface RotateCommand__Output {
}
