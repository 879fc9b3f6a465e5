// Original file: proto/muster/v1/agent.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { AgentMessage as _muster_v1_AgentMessage, AgentMessage__Output as _muster_v1_AgentMessage__Output } from '../../muster/v1/AgentMessage.ts';
import type { EnrollRequest as _muster_v1_EnrollRequest, EnrollRequest__Output as _muster_v1_EnrollRequest__Output } from '../../muster/v1/EnrollRequest.ts';
import type { Grant as _muster_v1_Grant, Grant__Output as _muster_v1_Grant__Output } from '../../muster/v1/Grant.ts';
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
  
  /**
   * New credentials before the old ones end. The certificate says who asks; the keys may be other ones.
   */
  Renew(argument: _muster_v1_EnrollRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_muster_v1_Grant__Output>): grpc.ClientUnaryCall;
  Renew(argument: _muster_v1_EnrollRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_muster_v1_Grant__Output>): grpc.ClientUnaryCall;
  Renew(argument: _muster_v1_EnrollRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_muster_v1_Grant__Output>): grpc.ClientUnaryCall;
  Renew(argument: _muster_v1_EnrollRequest, callback: grpc.requestCallback<_muster_v1_Grant__Output>): grpc.ClientUnaryCall;
  /**
   * New credentials before the old ones end. The certificate says who asks; the keys may be other ones.
   */
  renew(argument: _muster_v1_EnrollRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_muster_v1_Grant__Output>): grpc.ClientUnaryCall;
  renew(argument: _muster_v1_EnrollRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_muster_v1_Grant__Output>): grpc.ClientUnaryCall;
  renew(argument: _muster_v1_EnrollRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_muster_v1_Grant__Output>): grpc.ClientUnaryCall;
  renew(argument: _muster_v1_EnrollRequest, callback: grpc.requestCallback<_muster_v1_Grant__Output>): grpc.ClientUnaryCall;
  
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
  
  /**
   * New credentials before the old ones end. The certificate says who asks; the keys may be other ones.
   */
  Renew: grpc.handleUnaryCall<_muster_v1_EnrollRequest__Output, _muster_v1_Grant>;
  
}

export interface AgentDefinition extends grpc.ServiceDefinition {
  Connect: MethodDefinition<_muster_v1_AgentMessage, _muster_v1_HubMessage, _muster_v1_AgentMessage__Output, _muster_v1_HubMessage__Output>
  Renew: MethodDefinition<_muster_v1_EnrollRequest, _muster_v1_Grant, _muster_v1_EnrollRequest__Output, _muster_v1_Grant__Output>
}
