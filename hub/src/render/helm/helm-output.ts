import type { JsonObject } from "@muster/shared/model";
import { isJsonObject } from "@muster/shared/model";
import { describeLoosely } from "../bind/check-object.ts";
import type { BundleFiles } from "../bundle/bundle-files.ts";
import { joinPath } from "../bundle/bundle-path.ts";
import type { RenderedObject } from "../rendered-objects.ts";
import type { RenderNotice } from "../renderer.ts";
import type { YamlDocument } from "../yaml/document-reader.ts";
import { objectsOf } from "../yaml/objects-of.ts";

const SOURCE = /^# Source: [^/\n]+\/(.+)$/m;
const HOOK = "helm.sh/hook";
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
    for (const object of objectsOf(document, at)) {
      const notice = hookNotice(object, origin);
      if (notice) notices.push(notice);
      else objects.push({ object, origin, at, bytes: document.text.length });
    }
  }
  return { objects, notices };
}

function hookNotice(object: JsonObject, origin: string): RenderNotice | undefined {
  const metadata = object["metadata"];
  const annotations = isJsonObject(metadata) ? metadata["annotations"] : undefined;
  const hook = isJsonObject(annotations) ? annotations[HOOK] : undefined;
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
