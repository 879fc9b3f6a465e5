import type { DriftDetail, FieldOwner, Health, ObjectRef } from "@muster/shared/model";

/** What operators may ask an agent to do, through the hub. Rejects with AGENT_OFFLINE or API_NOT_FOUND. */
export interface AgentCommands {
  reconcile(cluster: string, bundle?: string): Promise<void>;
  /** Other keys; the ones that it has are revoked as soon as it has them. */
  rotate(cluster: string): Promise<void>;
  inspect(cluster: string, bundle: string): Promise<InspectionView>;
}

/** The objects of a target, as its agent told them just now. */
export interface InspectionView {
  readonly items: readonly InspectedObjectView[];
  /** What the agent says of those that found no place in its answer; absent if all are here. */
  readonly truncated?: string;
}

/** One object of a target, as its agent told it just now. */
export interface InspectedObjectView {
  readonly ref: ObjectRef;
  readonly bundle: string;
  readonly health: Health;
  readonly message: string;
  readonly uid: string;
  readonly lastAction: string;
  /** Managers that own fields of ours, too. Absent: none. */
  readonly sharedWith?: readonly FieldOwner[];
  readonly drift?: DriftDetail;
}
