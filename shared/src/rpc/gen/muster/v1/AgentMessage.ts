// Original file: proto/muster/v1/agent.proto

import type { Hello as _muster_v1_Hello, Hello__Output as _muster_v1_Hello__Output } from '../../muster/v1/Hello.ts';
import type { StatusUpdate as _muster_v1_StatusUpdate, StatusUpdate__Output as _muster_v1_StatusUpdate__Output } from '../../muster/v1/StatusUpdate.ts';
import type { Heartbeat as _muster_v1_Heartbeat, Heartbeat__Output as _muster_v1_Heartbeat__Output } from '../../muster/v1/Heartbeat.ts';
import type { InspectResult as _muster_v1_InspectResult, InspectResult__Output as _muster_v1_InspectResult__Output } from '../../muster/v1/InspectResult.ts';
import type { Long } from '@grpc/proto-loader';

export interface AgentMessage {
  /**
   * Grows by one per message of a stream, from 1. The hub acknowledges by it.
   */
  'sequence'?: (number | string | Long);
  'hello'?: (_muster_v1_Hello | null);
  'status'?: (_muster_v1_StatusUpdate | null);
  'heartbeat'?: (_muster_v1_Heartbeat | null);
  'inspectResult'?: (_muster_v1_InspectResult | null);
  'body'?: "hello"|"status"|"heartbeat"|"inspectResult";
}

export interface AgentMessage__Output {
  /**
   * Grows by one per message of a stream, from 1. The hub acknowledges by it.
   */
  'sequence': (number);
  'hello'?: (_muster_v1_Hello__Output | null);
  'status'?: (_muster_v1_StatusUpdate__Output | null);
  'heartbeat'?: (_muster_v1_Heartbeat__Output | null);
  'inspectResult'?: (_muster_v1_InspectResult__Output | null);
  'body'?: "hello"|"status"|"heartbeat"|"inspectResult";
}
