import type { SwaggerOptions } from "@fastify/swagger";
import { jsonSchemaTransform, jsonSchemaTransformObject } from "fastify-type-provider-zod";

const DESCRIPTION = `The fleet, as its operators ask for it. Lists take kubectl's label selectors and are paged by key.

Errors are \`{error: {code, message, hint}}\`; their codes are stable. A parameter that a route does not have is an error, too, so that a
misspelt filter never shows more than was asked for. What is no HTTP, or comes too slowly, is answered by the HTTP server itself, with
400, 408 or 431 and without a code.`;

/** How the API's description is made from the routes. */
export function openapiOptions(version: string): SwaggerOptions {
  return {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Muster", version, description: DESCRIPTION },
      components: {
        securitySchemes: {
          token: { type: "http", scheme: "bearer" },
          webhookSignature: {
            type: "apiKey",
            in: "header",
            name: "X-Hub-Signature-256",
            description: "`sha256=` and the HMAC-SHA256 of the raw body in hexadecimal, keyed with the hub's webhook secret.",
          },
        },
      },
      security: [{ token: [] }],
    },
    transform: jsonSchemaTransform,
    // Puts the shapes that have a name into the components that the others refer to.
    transformObject: (document) => withOptionalBodies(jsonSchemaTransformObject(document) as Description),
  } as SwaggerOptions;
}

interface Operation {
  readonly requestBody?: {
    required?: boolean;
    readonly content: Readonly<Record<string, { readonly schema?: { readonly anyOf?: readonly { readonly type?: string }[] } }>>;
  };
}

interface Description {
  readonly paths?: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

/** Swagger calls every body required; one that may be null may also be left out. */
function withOptionalBodies(description: Description): Description {
  for (const { requestBody } of Object.values(description.paths ?? {}).flatMap((methods) => Object.values(methods))) {
    const schemas = Object.values(requestBody?.content ?? {}).map(({ schema }) => schema);
    if (requestBody && schemas.some((schema) => schema?.anyOf?.some(({ type }) => type === "null"))) requestBody.required = false;
  }
  return description;
}
