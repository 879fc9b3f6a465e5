import { isJsonObject, type JsonObject, type JsonValue } from "@muster/shared/model";
import { describeLoosely } from "../bind/check-object.ts";
import type { BundleFiles } from "../bundle/bundle-files.ts";
import { joinPath } from "../bundle/bundle-path.ts";
import type { YamlDocument } from "../documents/document-reader.ts";
import { objectsOf } from "../documents/objects-of.ts";
import type { RenderedObject } from "../rendered-objects.ts";
import type { RenderNotice } from "../renderer.ts";

const SOURCE = /^# Source: [^/\n]+\/(.+)$/m;
const HOOK = "helm.sh/hook";
const RESOURCE_POLICY = "helm.sh/resource-policy";
const TESTS = new Set(["test", "test-success", "test-failure"]);

/** Objects of helm's output with the template each came from; hooks and tests are listed and left out. */
export function helmObjects(
  documents: readonly YamlDocument[],
  files: BundleFiles,
  chart: string,
): { objects: RenderedObject[]; notices: RenderNotice[] } {
  const objects: RenderedObject[] = [];
  const notices: RenderNotice[] = [];
  let origin = "Chart.yaml";
  for (const document of documents) {
    // A file of crds/ with several documents is announced once.
    origin = SOURCE.exec(document.text.slice(0, 2_000))?.[1] ?? origin;
    const at = files.position(joinPath(chart, origin));
    const found = objectsOf(document, at);
    for (const object of found) {
      const skipped = hookNotice(object, origin);
      if (skipped) {
        notices.push(skipped);
        continue;
      }
      objects.push({ object, origin, at, bytes: document.bytes / found.length });
      const ignored = keepNotice(object, origin);
      if (ignored) notices.push(ignored);
    }
  }
  return { objects, notices };
}

function hookNotice(object: JsonObject, origin: string): RenderNotice | undefined {
  const hook = annotationOf(object, HOOK);
  if (typeof hook !== "string") return undefined;
  const events = hook.split(",").map((event) => event.trim());
  // Charts of Helm 2 marked their CRDs so; they are ordinary objects.
  if (events.includes("crd-install")) return undefined;
  const isTest = events.every((event) => TESTS.has(event));
  return {
    type: isTest ? "HelmTestSkipped" : "HelmHookSkipped",
    message: `${describeLoosely(object)} (${origin}) is a Helm ${isTest ? "test" : `hook (${events.join(", ")})`} and is not applied`,
  };
}

/** What a person would find out when the object is gone: the annotation speaks to Helm, and it is not Helm that deletes. */
function keepNotice(object: JsonObject, origin: string): RenderNotice | undefined {
  const policy = annotationOf(object, RESOURCE_POLICY);
  if (typeof policy !== "string" || policy.trim().toLowerCase() !== "keep") return undefined;
  return {
    type: "HelmKeepIgnored",
    message: `${describeLoosely(object)} (${origin}) has ${RESOURCE_POLICY}: keep, which Muster does not look at: it is deleted when the chart has it no more, unless the bundle says deletion.prune: false`,
  };
}

function annotationOf({ metadata }: JsonObject, name: string): JsonValue | undefined {
  const annotations = isJsonObject(metadata) ? metadata["annotations"] : undefined;
  return isJsonObject(annotations) ? annotations[name] : undefined;
}
