/** The gRPC contract between agent and hub: generated types, and the loader that fits them. */
export type { AgentHandlers } from "./gen/muster/v1/Agent.ts";
export type { AgentKeys } from "./gen/muster/v1/AgentKeys.ts";
export type { AgentMessage, AgentMessage__Output } from "./gen/muster/v1/AgentMessage.ts";
export type { EnrollRequest, EnrollRequest__Output } from "./gen/muster/v1/EnrollRequest.ts";
export type { EnrollResponse, EnrollResponse__Output } from "./gen/muster/v1/EnrollResponse.ts";
export type { EnrolmentHandlers } from "./gen/muster/v1/Enrolment.ts";
export type { Grant, Grant__Output } from "./gen/muster/v1/Grant.ts";
export type { HubMessage, HubMessage__Output } from "./gen/muster/v1/HubMessage.ts";
export { LOADER_OPTIONS, loadAgentService, loadEnrolmentService } from "./loader.ts";
