import { fileURLToPath } from "node:url";
import { type GrpcObject, loadPackageDefinition } from "@grpc/grpc-js";
import { fromJSON, loadSync, type Options } from "@grpc/proto-loader";
import type { ProtoGrpcType } from "./gen/agent.ts";

/** How messages become objects. The generated types are made with just these. */
export const LOADER_OPTIONS: Options = { longs: Number, enums: String, defaults: true, oneofs: true };

/** A protobuf.js JSON descriptor that a bundle carries in place of the .proto files; set by the build. */
declare const MUSTER_PROTO_DESCRIPTOR: Parameters<typeof fromJSON>[0] | undefined;

let loaded: ProtoGrpcType | undefined;

/** The gRPC service between agent and hub. Reads `proto/` in a checkout, the built-in descriptor in a bundle. */
export function loadAgentService(): ProtoGrpcType["muster"]["v1"]["Agent"] {
  loaded ??= load();
  return loaded.muster.v1.Agent;
}

/** The service for who has no certificate yet. */
export function loadEnrolmentService(): ProtoGrpcType["muster"]["v1"]["Enrolment"] {
  loaded ??= load();
  return loaded.muster.v1.Enrolment;
}

function load(): ProtoGrpcType {
  const definition =
    typeof MUSTER_PROTO_DESCRIPTOR === "undefined"
      ? loadSync("muster/v1/agent.proto", { ...LOADER_OPTIONS, includeDirs: [fileURLToPath(new URL("../../../proto", import.meta.url))] })
      : fromJSON(MUSTER_PROTO_DESCRIPTOR, LOADER_OPTIONS);
  return loadPackageDefinition(definition) as GrpcObject as unknown as ProtoGrpcType;
}
