import { fileURLToPath } from "node:url";
import { fromJSON, loadSync } from "@grpc/proto-loader";
import { LOADER_OPTIONS } from "@muster/shared/rpc";
import { describe, expect, it } from "vitest";
import { buildProtoDescriptor } from "./proto-descriptor.ts";

const protoDir = fileURLToPath(new URL("../../proto", import.meta.url));

describe("the descriptor in a bundle", () => {
  it("gives the same service and messages as the .proto files", () => {
    const fromFiles = loadSync("muster/v1/agent.proto", { ...LOADER_OPTIONS, includeDirs: [protoDir] });
    const fromDescriptor = fromJSON(buildProtoDescriptor(protoDir), LOADER_OPTIONS);
    expect(Object.keys(fromDescriptor).sort()).toEqual(Object.keys(fromFiles).sort());
    expect(shape(fromDescriptor)).toEqual(shape(fromFiles));
  });
});

/** Without functions and without the serialised file descriptors, which name files. */
function shape(definition: object): unknown {
  return JSON.parse(JSON.stringify(definition, (key, value: unknown) => (key === "fileDescriptorProtos" ? undefined : value)));
}
