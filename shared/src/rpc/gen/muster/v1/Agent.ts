// Original file: proto/muster/v1/agent.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { AgentMessage as _muster_v1_AgentMessage, AgentMessage__Output as _muster_v1_AgentMessage__Output } from '../../muster/v1/AgentMessage.ts';
import type { HubMessage as _muster_v1_HubMessage, HubMessage__Output as _muster_v1_HubMessage__Output } from '../../muster/v1/HubMessage.ts';

/**
 * What an agent and its hub say to each other. The cluster is the one that the client certificate names
 * (URI SAN spiffe://<trust domain>/cluster/<name>); no message carries it.
 */
export interface AgentClient extends grpc.Client {
  /**
   * One stream per agent. The agent's first message is Hello, the hub's is Welcome.
   */
  Connect(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_muster_v1_AgentMessage, _muster_v1_HubMessage__Output>;
  Connect(options?: grpc.CallOptions): grpc.ClientDuplexStream<_muster_v1_AgentMessage, _muster_v1_HubMessage__Output>;
  /**
   * One stream per agent. The agent's first message is Hello, the hub's is Welcome.
   */
  connect(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_muster_v1_AgentMessage, _muster_v1_HubMessage__Output>;
  connect(options?: grpc.CallOptions): grpc.ClientDuplexStream<_muster_v1_AgentMessage, _muster_v1_HubMessage__Output>;
  
}

/**
 * What an agent and its hub say to each other. The cluster is the one that the client certificate names
 * (URI SAN spiffe://<trust domain>/cluster/<name>); no message carries it.
 */
export interface AgentHandlers extends grpc.UntypedServiceImplementation {
  /**
   * One stream per agent. The agent's first message is Hello, the hub's is Welcome.
   */
  Connect: grpc.handleBidiStreamingCall<_muster_v1_AgentMessage__Output, _muster_v1_HubMessage>;
  
}

export interface AgentDefinition extends grpc.ServiceDefinition {
  Connect: MethodDefinition<_muster_v1_AgentMessage, _muster_v1_HubMessage, _muster_v1_AgentMessage__Output, _muster_v1_HubMessage__Output>
}
