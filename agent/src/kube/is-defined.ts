import { CodedError } from "@muster/shared/errors";
import { isJsonObject, type Manifest, type ObjectRef } from "@muster/shared/model";
import type { Cluster, Discovery } from "./cluster.ts";

/**
 * True if a kind that discovery does not know has a CustomResourceDefinition all the same: not established yet, or not served
 * in any version now. Its objects are in etcd still, and come to light with it.
 */
export async function isDefined(
  cluster: Cluster,
  discovery: Discovery,
  ref: Pick<ObjectRef, "group" | "kind">,
  signal: AbortSignal,
): Promise<boolean> {
  const definitions = discovery.find("apiextensions.k8s.io", "CustomResourceDefinition");
  if (!definitions) return true;
  try {
    // Their schemas may be megabytes; the names, `<plural>.<group>`, leave a few to look at.
    const { items } = await cluster.list(definitions, { metadataOnly: true }, signal);
    for (const { metadata } of items) {
      if (metadata.name.slice(metadata.name.indexOf(".") + 1) !== ref.group) continue;
      const definition = await cluster.get(definitions, "", metadata.name, signal);
      if (definition && kindOf(definition) === ref.kind) return true;
    }
    return false;
  } catch (error) {
    // An agent of a few namespaces may not look at definitions; it goes by the word of discovery.
    if (error instanceof CodedError && error.code === "KUBE_FORBIDDEN") return false;
    throw error;
  }
}

function kindOf(definition: Manifest): unknown {
  const spec = definition["spec"];
  const names = isJsonObject(spec) ? spec["names"] : undefined;
  return isJsonObject(names) ? names["kind"] : undefined;
}
