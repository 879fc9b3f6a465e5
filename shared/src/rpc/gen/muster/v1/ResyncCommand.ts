// Original file: proto/muster/v1/agent.proto


/**
 * Send everything again.
 */
export interface ResyncCommand {
}

/**
 * Send everything again.
 */
export interface ResyncCommand__Output {
}
