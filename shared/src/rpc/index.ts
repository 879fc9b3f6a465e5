/** The gRPC contract between agent and hub: generated types, and the loader that fits them. */
export type { AgentHandlers } from "./gen/muster/v1/Agent.ts";
export type { AgentMessage, AgentMessage__Output } from "./gen/muster/v1/AgentMessage.ts";
export type { HubMessage, HubMessage__Output } from "./gen/muster/v1/HubMessage.ts";
export { LOADER_OPTIONS, loadAgentService } from "./loader.ts";
