// Original file: proto/muster/v1/agent.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { EnrollRequest as _muster_v1_EnrollRequest, EnrollRequest__Output as _muster_v1_EnrollRequest__Output } from '../../muster/v1/EnrollRequest.ts';
import type { EnrollResponse as _muster_v1_EnrollResponse, EnrollResponse__Output as _muster_v1_EnrollResponse__Output } from '../../muster/v1/EnrollResponse.ts';

/**
 * For who has no certificate that is good: on a port of its own, where nothing else can be reached.
 */
export interface EnrolmentClient extends grpc.Client {
  Enroll(argument: _muster_v1_EnrollRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_muster_v1_EnrollResponse__Output>): grpc.ClientUnaryCall;
  Enroll(argument: _muster_v1_EnrollRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_muster_v1_EnrollResponse__Output>): grpc.ClientUnaryCall;
  Enroll(argument: _muster_v1_EnrollRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_muster_v1_EnrollResponse__Output>): grpc.ClientUnaryCall;
  Enroll(argument: _muster_v1_EnrollRequest, callback: grpc.requestCallback<_muster_v1_EnrollResponse__Output>): grpc.ClientUnaryCall;
  enroll(argument: _muster_v1_EnrollRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_muster_v1_EnrollResponse__Output>): grpc.ClientUnaryCall;
  enroll(argument: _muster_v1_EnrollRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_muster_v1_EnrollResponse__Output>): grpc.ClientUnaryCall;
  enroll(argument: _muster_v1_EnrollRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_muster_v1_EnrollResponse__Output>): grpc.ClientUnaryCall;
  enroll(argument: _muster_v1_EnrollRequest, callback: grpc.requestCallback<_muster_v1_EnrollResponse__Output>): grpc.ClientUnaryCall;
  
}

/**
 * For who has no certificate that is good: on a port of its own, where nothing else can be reached.
 */
export interface EnrolmentHandlers extends grpc.UntypedServiceImplementation {
  Enroll: grpc.handleUnaryCall<_muster_v1_EnrollRequest__Output, _muster_v1_EnrollResponse>;
  
}

export interface EnrolmentDefinition extends grpc.ServiceDefinition {
  Enroll: MethodDefinition<_muster_v1_EnrollRequest, _muster_v1_EnrollResponse, _muster_v1_EnrollRequest__Output, _muster_v1_EnrollResponse__Output>
}
