import type * as grpc from '@grpc/grpc-js';
import type { MessageTypeDefinition } from '@grpc/proto-loader';

import type { Ack as _muster_v1_Ack, Ack__Output as _muster_v1_Ack__Output } from './muster/v1/Ack.ts';
import type { AgentClient as _muster_v1_AgentClient, AgentDefinition as _muster_v1_AgentDefinition } from './muster/v1/Agent.ts';
import type { AgentKeys as _muster_v1_AgentKeys, AgentKeys__Output as _muster_v1_AgentKeys__Output } from './muster/v1/AgentKeys.ts';
import type { AgentMessage as _muster_v1_AgentMessage, AgentMessage__Output as _muster_v1_AgentMessage__Output } from './muster/v1/AgentMessage.ts';
import type { BundleReport as _muster_v1_BundleReport, BundleReport__Output as _muster_v1_BundleReport__Output } from './muster/v1/BundleReport.ts';
import type { ClusterFacts as _muster_v1_ClusterFacts, ClusterFacts__Output as _muster_v1_ClusterFacts__Output } from './muster/v1/ClusterFacts.ts';
import type { ClusterReport as _muster_v1_ClusterReport, ClusterReport__Output as _muster_v1_ClusterReport__Output } from './muster/v1/ClusterReport.ts';
import type { Drift as _muster_v1_Drift, Drift__Output as _muster_v1_Drift__Output } from './muster/v1/Drift.ts';
import type { EnrollRequest as _muster_v1_EnrollRequest, EnrollRequest__Output as _muster_v1_EnrollRequest__Output } from './muster/v1/EnrollRequest.ts';
import type { EnrollResponse as _muster_v1_EnrollResponse, EnrollResponse__Output as _muster_v1_EnrollResponse__Output } from './muster/v1/EnrollResponse.ts';
import type { EnrolmentClient as _muster_v1_EnrolmentClient, EnrolmentDefinition as _muster_v1_EnrolmentDefinition } from './muster/v1/Enrolment.ts';
import type { Event as _muster_v1_Event, Event__Output as _muster_v1_Event__Output } from './muster/v1/Event.ts';
import type { FieldChange as _muster_v1_FieldChange, FieldChange__Output as _muster_v1_FieldChange__Output } from './muster/v1/FieldChange.ts';
import type { FieldOwner as _muster_v1_FieldOwner, FieldOwner__Output as _muster_v1_FieldOwner__Output } from './muster/v1/FieldOwner.ts';
import type { Generation as _muster_v1_Generation, Generation__Output as _muster_v1_Generation__Output } from './muster/v1/Generation.ts';
import type { Grant as _muster_v1_Grant, Grant__Output as _muster_v1_Grant__Output } from './muster/v1/Grant.ts';
import type { Heartbeat as _muster_v1_Heartbeat, Heartbeat__Output as _muster_v1_Heartbeat__Output } from './muster/v1/Heartbeat.ts';
import type { HeldDeletion as _muster_v1_HeldDeletion, HeldDeletion__Output as _muster_v1_HeldDeletion__Output } from './muster/v1/HeldDeletion.ts';
import type { Hello as _muster_v1_Hello, Hello__Output as _muster_v1_Hello__Output } from './muster/v1/Hello.ts';
import type { HubMessage as _muster_v1_HubMessage, HubMessage__Output as _muster_v1_HubMessage__Output } from './muster/v1/HubMessage.ts';
import type { InspectCommand as _muster_v1_InspectCommand, InspectCommand__Output as _muster_v1_InspectCommand__Output } from './muster/v1/InspectCommand.ts';
import type { InspectResult as _muster_v1_InspectResult, InspectResult__Output as _muster_v1_InspectResult__Output } from './muster/v1/InspectResult.ts';
import type { InspectedObject as _muster_v1_InspectedObject, InspectedObject__Output as _muster_v1_InspectedObject__Output } from './muster/v1/InspectedObject.ts';
import type { ObjectException as _muster_v1_ObjectException, ObjectException__Output as _muster_v1_ObjectException__Output } from './muster/v1/ObjectException.ts';
import type { ObjectRef as _muster_v1_ObjectRef, ObjectRef__Output as _muster_v1_ObjectRef__Output } from './muster/v1/ObjectRef.ts';
import type { Pending as _muster_v1_Pending, Pending__Output as _muster_v1_Pending__Output } from './muster/v1/Pending.ts';
import type { ReconcileCommand as _muster_v1_ReconcileCommand, ReconcileCommand__Output as _muster_v1_ReconcileCommand__Output } from './muster/v1/ReconcileCommand.ts';
import type { ResyncCommand as _muster_v1_ResyncCommand, ResyncCommand__Output as _muster_v1_ResyncCommand__Output } from './muster/v1/ResyncCommand.ts';
import type { RotateCommand as _muster_v1_RotateCommand, RotateCommand__Output as _muster_v1_RotateCommand__Output } from './muster/v1/RotateCommand.ts';
import type { SliceHint as _muster_v1_SliceHint, SliceHint__Output as _muster_v1_SliceHint__Output } from './muster/v1/SliceHint.ts';
import type { SliceProblem as _muster_v1_SliceProblem, SliceProblem__Output as _muster_v1_SliceProblem__Output } from './muster/v1/SliceProblem.ts';
import type { StatusUpdate as _muster_v1_StatusUpdate, StatusUpdate__Output as _muster_v1_StatusUpdate__Output } from './muster/v1/StatusUpdate.ts';
import type { Welcome as _muster_v1_Welcome, Welcome__Output as _muster_v1_Welcome__Output } from './muster/v1/Welcome.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  muster: {
    v1: {
      Ack: MessageTypeDefinition<_muster_v1_Ack, _muster_v1_Ack__Output>
      /**
       * What an agent and its hub say to each other. The cluster is the one that the client certificate names
       * (URI SAN spiffe://<trust domain>/cluster/<name>); no message carries it.
       */
      Agent: SubtypeConstructor<typeof grpc.Client, _muster_v1_AgentClient> & { service: _muster_v1_AgentDefinition }
      AgentKeys: MessageTypeDefinition<_muster_v1_AgentKeys, _muster_v1_AgentKeys__Output>
      AgentMessage: MessageTypeDefinition<_muster_v1_AgentMessage, _muster_v1_AgentMessage__Output>
      BundleReport: MessageTypeDefinition<_muster_v1_BundleReport, _muster_v1_BundleReport__Output>
      ClusterFacts: MessageTypeDefinition<_muster_v1_ClusterFacts, _muster_v1_ClusterFacts__Output>
      ClusterReport: MessageTypeDefinition<_muster_v1_ClusterReport, _muster_v1_ClusterReport__Output>
      Drift: MessageTypeDefinition<_muster_v1_Drift, _muster_v1_Drift__Output>
      EnrollRequest: MessageTypeDefinition<_muster_v1_EnrollRequest, _muster_v1_EnrollRequest__Output>
      EnrollResponse: MessageTypeDefinition<_muster_v1_EnrollResponse, _muster_v1_EnrollResponse__Output>
      /**
       * For who has no certificate that is good: on a port of its own, where nothing else can be reached.
       */
      Enrolment: SubtypeConstructor<typeof grpc.Client, _muster_v1_EnrolmentClient> & { service: _muster_v1_EnrolmentDefinition }
      Event: MessageTypeDefinition<_muster_v1_Event, _muster_v1_Event__Output>
      FieldChange: MessageTypeDefinition<_muster_v1_FieldChange, _muster_v1_FieldChange__Output>
      FieldOwner: MessageTypeDefinition<_muster_v1_FieldOwner, _muster_v1_FieldOwner__Output>
      Generation: MessageTypeDefinition<_muster_v1_Generation, _muster_v1_Generation__Output>
      Grant: MessageTypeDefinition<_muster_v1_Grant, _muster_v1_Grant__Output>
      Heartbeat: MessageTypeDefinition<_muster_v1_Heartbeat, _muster_v1_Heartbeat__Output>
      HeldDeletion: MessageTypeDefinition<_muster_v1_HeldDeletion, _muster_v1_HeldDeletion__Output>
      Hello: MessageTypeDefinition<_muster_v1_Hello, _muster_v1_Hello__Output>
      HubMessage: MessageTypeDefinition<_muster_v1_HubMessage, _muster_v1_HubMessage__Output>
      InspectCommand: MessageTypeDefinition<_muster_v1_InspectCommand, _muster_v1_InspectCommand__Output>
      InspectResult: MessageTypeDefinition<_muster_v1_InspectResult, _muster_v1_InspectResult__Output>
      InspectedObject: MessageTypeDefinition<_muster_v1_InspectedObject, _muster_v1_InspectedObject__Output>
      ObjectException: MessageTypeDefinition<_muster_v1_ObjectException, _muster_v1_ObjectException__Output>
      ObjectRef: MessageTypeDefinition<_muster_v1_ObjectRef, _muster_v1_ObjectRef__Output>
      Pending: MessageTypeDefinition<_muster_v1_Pending, _muster_v1_Pending__Output>
      ReconcileCommand: MessageTypeDefinition<_muster_v1_ReconcileCommand, _muster_v1_ReconcileCommand__Output>
      ResyncCommand: MessageTypeDefinition<_muster_v1_ResyncCommand, _muster_v1_ResyncCommand__Output>
      RotateCommand: MessageTypeDefinition<_muster_v1_RotateCommand, _muster_v1_RotateCommand__Output>
      SliceHint: MessageTypeDefinition<_muster_v1_SliceHint, _muster_v1_SliceHint__Output>
      SliceProblem: MessageTypeDefinition<_muster_v1_SliceProblem, _muster_v1_SliceProblem__Output>
      StatusUpdate: MessageTypeDefinition<_muster_v1_StatusUpdate, _muster_v1_StatusUpdate__Output>
      Welcome: MessageTypeDefinition<_muster_v1_Welcome, _muster_v1_Welcome__Output>
    }
  }
}

