import { z } from "zod";
import { DOCUMENT_SCHEMAS } from "./document-schemas.ts";

/** The JSON Schemas (2020-12) of the documents that people write, for editors and CI. */
export function generate(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(DOCUMENT_SCHEMAS).map(([kind, schema]) => {
      const document = { title: `Muster ${kind}`, ...z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) };
      return [`shared/docs/schemas/${kind.toLowerCase()}.json`, `${JSON.stringify(document, null, 2)}\n`];
    }),
  );
}
