// Original file: proto/muster/v1/agent.proto


/**
 * Apply the current slice again now.
 */
export interface ReconcileCommand {
  'id'?: (string);
  /**
   * All bundles if empty.
   */
  'bundle'?: (string);
}

/**
 * Apply the current slice again now.
 */
export interface ReconcileCommand__Output {
  'id': (string);
  /**
   * All bundles if empty.
   */
  'bundle': (string);
}
