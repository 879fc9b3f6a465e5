import { CodedError } from "@muster/shared/errors";
import type { ServiceAccountRef } from "@muster/shared/model";
import type { KubeTransport } from "./transport.ts";

/**
 * The same connections, with every request in the name of a ServiceAccount (E008). The API server itself adds the account's groups where
 * a request names none, so that nobody need allow us to act as a group. A refusal is never a reason to ask again in our own name.
 */
export function impersonating(transport: KubeTransport, account: ServiceAccountRef): KubeTransport {
  const impersonate = `system:serviceaccount:${account.namespace}:${account.name}`;
  const refused = (error: unknown) => Promise.reject(explain(error, account));
  return {
    send: (request) => transport.send({ ...request, impersonate }).catch(refused),
    stream: (request) => transport.stream({ ...request, impersonate }).catch(refused),
    // The connections are others' too.
    close: async () => {},
  };
}

/** Whose rights are missing: ours to act in the account's name, or the account's own. The server's words stay. */
function explain(error: unknown, { namespace, name }: ServiceAccountRef): unknown {
  if (!(error instanceof CodedError) || error.code !== "KUBE_FORBIDDEN") return error;
  const options = { cause: error, data: error.data };
  return / cannot impersonate\S* /.test(error.message)
    ? new CodedError("IMPERSONATION_FORBIDDEN", `the agent may not act as ServiceAccount ${namespace}/${name}: ${error.message}`, options)
    : new CodedError("ACCOUNT_FORBIDDEN", `ServiceAccount ${namespace}/${name} may not do this: ${error.message}`, options);
}
