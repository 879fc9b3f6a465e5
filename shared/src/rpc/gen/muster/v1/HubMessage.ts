// Original file: proto/muster/v1/agent.proto

import type { Welcome as _muster_v1_Welcome, Welcome__Output as _muster_v1_Welcome__Output } from '../../muster/v1/Welcome.ts';
import type { Ack as _muster_v1_Ack, Ack__Output as _muster_v1_Ack__Output } from '../../muster/v1/Ack.ts';
import type { Heartbeat as _muster_v1_Heartbeat, Heartbeat__Output as _muster_v1_Heartbeat__Output } from '../../muster/v1/Heartbeat.ts';
import type { ReconcileCommand as _muster_v1_ReconcileCommand, ReconcileCommand__Output as _muster_v1_ReconcileCommand__Output } from '../../muster/v1/ReconcileCommand.ts';
import type { InspectCommand as _muster_v1_InspectCommand, InspectCommand__Output as _muster_v1_InspectCommand__Output } from '../../muster/v1/InspectCommand.ts';
import type { ResyncCommand as _muster_v1_ResyncCommand, ResyncCommand__Output as _muster_v1_ResyncCommand__Output } from '../../muster/v1/ResyncCommand.ts';
import type { SliceHint as _muster_v1_SliceHint, SliceHint__Output as _muster_v1_SliceHint__Output } from '../../muster/v1/SliceHint.ts';
import type { RotateCommand as _muster_v1_RotateCommand, RotateCommand__Output as _muster_v1_RotateCommand__Output } from '../../muster/v1/RotateCommand.ts';

export interface HubMessage {
  'welcome'?: (_muster_v1_Welcome | null);
  'ack'?: (_muster_v1_Ack | null);
  'heartbeat'?: (_muster_v1_Heartbeat | null);
  'reconcile'?: (_muster_v1_ReconcileCommand | null);
  'inspect'?: (_muster_v1_InspectCommand | null);
  'resync'?: (_muster_v1_ResyncCommand | null);
  /**
   * A hint that a newer slice was published; the agent then asks NATS. Never content.
   */
  'sliceHint'?: (_muster_v1_SliceHint | null);
  'rotate'?: (_muster_v1_RotateCommand | null);
  'body'?: "welcome"|"ack"|"heartbeat"|"reconcile"|"inspect"|"resync"|"sliceHint"|"rotate";
}

export interface HubMessage__Output {
  'welcome'?: (_muster_v1_Welcome__Output | null);
  'ack'?: (_muster_v1_Ack__Output | null);
  'heartbeat'?: (_muster_v1_Heartbeat__Output | null);
  'reconcile'?: (_muster_v1_ReconcileCommand__Output | null);
  'inspect'?: (_muster_v1_InspectCommand__Output | null);
  'resync'?: (_muster_v1_ResyncCommand__Output | null);
  /**
   * A hint that a newer slice was published; the agent then asks NATS. Never content.
   */
  'sliceHint'?: (_muster_v1_SliceHint__Output | null);
  'rotate'?: (_muster_v1_RotateCommand__Output | null);
  'body'?: "welcome"|"ack"|"heartbeat"|"reconcile"|"inspect"|"resync"|"sliceHint"|"rotate";
}
