import { join, resolve } from "node:path";
import protobuf from "protobufjs";

/**
 * The gRPC contract as a protobuf.js JSON descriptor, for bundles that carry no .proto files. Comments are left out. Names
 * are camelCase, as the loader makes them when it reads the .proto files itself.
 */
export function buildProtoDescriptor(protoDir: string): protobuf.INamespace {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => resolve(protoDir, target);
  root.loadSync(join(protoDir, "muster/v1/agent.proto"), { keepCase: false });
  root.resolveAll();
  return root.toJSON({ keepComments: false });
}
