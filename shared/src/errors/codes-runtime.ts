import { entry } from "./codes.ts";

/** Publishing, agents, the Kubernetes API, the hub's API and the CLI. */
export const RUNTIME_CODES = {
  INTERNAL: entry("An error that Muster did not expect.", "Look at the log; please report it with the message.", { retryable: true }),
  CONFIG_INVALID: entry("The configuration of the process is not valid.", "Correct the setting that the message names.", { exitCode: 2 }),
  NATS_UNREACHABLE: entry("The NATS server cannot be reached.", "Check the server and its URL. Agents go on with their last good slice.", {
    retryable: true,
    exitCode: 3,
  }),
  NATS_AUTH: entry(
    "The NATS server refused the credentials or a permission.",
    "nats-server must know this hub: give it what `muster-hub nats-config` prints. An agent that was revoked, or whose certificate has ended, must join anew.",
    { retryable: true, exitCode: 4 },
  ),
  NATS_CLAIMS: entry(
    "The NATS server does not let the hub change its accounts: an agent that is revoked stays in NATS until its credentials end, within a day.",
    "Give nats-server what `muster-hub nats-config` prints now, and restart it.",
    { retryable: true },
  ),
  NATS_STREAM: entry(
    "A JetStream stream is missing, unsafe or does not take messages.",
    "Check JetStream's limits and that nobody changed the streams MUSTER_SLICES and MUSTER_BLOBS; the hub makes missing ones again.",
    { retryable: true },
  ),
  NATS_VERSION: entry("The NATS server is older than the advisory floor.", "Run nats-server 2.12.12 or newer."),
  PUBLISH_CONFLICT: entry(
    "Another publisher wrote the cluster's slice first.",
    "Nothing if two hubs ran for a moment; otherwise stop the second hub.",
    { retryable: true },
  ),
  SLICE_SIGNATURE: entry(
    "A slice is not signed by a pinned key.",
    "If the hub's key was replaced on purpose, give the agents the new public key; otherwise somebody forges slices.",
  ),
  SLICE_MALFORMED: entry("A slice message cannot be read.", "Hub and agent may be too far apart in version; upgrade the older one."),
  SLICE_FOREIGN: entry("A slice is for another cluster or another trust domain.", "Check the agent's cluster name; nothing was applied."),
  SLICE_STALE: entry(
    "A slice is older than one that was already taken.",
    "Nothing: it is ignored. Repeated, it means that somebody replays messages.",
  ),
  SLICE_EQUIVOCATION: entry(
    "Two slices have the same generation and different content.",
    "Two hubs may run with the same key, or the key has leaked. Neither slice is taken; the hub goes on with a higher generation.",
  ),
  BLOB_MISSING: entry(
    "A manifest set is not in JetStream.",
    "The hub publishes it again at its next audit; the agent keeps its last good state.",
    { retryable: true },
  ),
  BLOB_CORRUPT: entry(
    "A manifest set is not what the signed slice names.",
    "The hub publishes it again at its next audit; the agent keeps its last good state.",
    { retryable: true },
  ),
  BACKUP_UNREADABLE: entry(
    "A backup of a hub cannot be opened, or is none.",
    "Check the file, and the age identity or passphrase that it was made for.",
    { exitCode: 2 },
  ),
  ENROLMENT_REFUSED: entry(
    "The hub does not let this agent act for the cluster.",
    "Make a new token with `muster token create CLUSTER`; the hub's log says why this one was refused.",
    { exitCode: 4 },
  ),
  ENROLMENT_PENDING: entry(
    "Another agent acts for the cluster, or this one's certificate has ended: a person must approve it.",
    "Compare the fingerprint with the one in the agent's log, then `muster cluster approve CLUSTER`.",
    { retryable: true, exitCode: 4 },
  ),
  AGENT_NOT_PENDING: entry("No agent waits for an approval of this cluster.", "See `muster get agents`.", { exitCode: 5, httpStatus: 404 }),
  AGENT_STATE: entry(
    "The agent's state in its namespace cannot be read or written.",
    "Check the agent's rights on Secrets in its own namespace.",
    { retryable: true },
  ),
  AGENT_STATE_CORRUPT: entry("The agent's inventory in its namespace is damaged.", "Nothing is pruned until a full apply has rebuilt it."),
  AGENT_STATE_REWOUND: entry(
    "The agent's state in its namespace is older than what the agent had kept: the cluster's etcd was restored, or somebody put old Secrets back.",
    "Nothing: the newest slice is applied in full, and nothing is pruned before that is done.",
    { retryable: true },
  ),
  AGENT_STATE_CONFLICT: entry(
    "Somebody else has written the agent's state since the agent looked at it.",
    "Once, when one agent takes over from another, it is nothing: the agent looks again. Again and again, two agents run with one identity, or somebody edits the Secrets: stop it.",
    { retryable: true },
  ),
  AGENT_STANDBY: entry(
    "Another agent with this cluster's identity writes; this one only waits.",
    "Stop one of the two. If the writer does not answer any more, this one takes over within half a minute.",
    { retryable: true },
  ),
  KUBE_UNREACHABLE: entry(
    "The Kubernetes API server cannot be reached or does not answer in time.",
    "Check the API server; the agent goes on as soon as it answers.",
    { retryable: true, exitCode: 3 },
  ),
  KUBE_UNAUTHORIZED: entry("The Kubernetes API server does not accept the agent's token.", "Check the agent's ServiceAccount.", {
    retryable: true,
    exitCode: 4,
  }),
  KUBE_FORBIDDEN: entry(
    "The agent may not do this in its cluster.",
    "Widen the agent's role (chart value `rbac`), or move the object to a namespace that it may manage.",
    { retryable: true, exitCode: 4 },
  ),
  ACCOUNT_FORBIDDEN: entry(
    "The ServiceAccount in whose name the bundle is applied may not do this.",
    "Bind the ServiceAccount that the message names to a role with this right; nothing is done with the agent's own rights instead.",
    { retryable: true, exitCode: 4 },
  ),
  IMPERSONATION_FORBIDDEN: entry(
    "The agent may not act as the ServiceAccount that the bundle names.",
    "Add it to `impersonation.serviceAccounts` of the agent's chart, or correct `serviceAccount` of the bundle.",
    { retryable: true, exitCode: 4 },
  ),
  KUBE_NOT_FOUND: entry(
    "The object, its namespace or its kind does not exist.",
    "A namespace must be declared or created; see `createNamespace` of the bundle.",
    { retryable: true, exitCode: 5 },
  ),
  KUBE_CONFLICT: entry(
    "The API server reports a conflict.",
    "It is tried again; if it stays, another controller fights for the same fields.",
    { retryable: true },
  ),
  KUBE_INVALID: entry("The API server refuses the object as invalid.", "Correct the field that the message names."),
  KUBE_IMMUTABLE: entry(
    "A field that cannot be changed was changed.",
    "Give the object a new name, delete it by hand, or let it be made anew: annotation `muster.dev/recreate: onImmutable` in Git.",
  ),
  OBJECT_TERMINATING: entry(
    "The object is being deleted, to be made anew; its finalizers are outstanding.",
    "It is made anew as soon as it is gone; look at who is to remove its finalizers.",
    { retryable: true },
  ),
  DRIFT_FIGHT: entry(
    "Another controller changes the object back each time.",
    "Stop the other one, or leave the fields to it: `drift.ignore` of the bundle. Until then corrections get rarer.",
  ),
  DRIFT_IGNORE_FAILED: entry(
    "The condition (`when`) of a rule in `drift.ignore` cannot be told for an object.",
    "Correct the expression; ask with `has(…)` for a field that may be absent. Until then the rule does not count, and nothing is ignored.",
  ),
  DRIFT_MODE_INVALID: entry(
    "The annotation `muster.dev/drift` of an object has a value that means nothing.",
    "Write `correct`, `report` or `off` in Git. Until then drift of the object is reported and not corrected.",
  ),
  KUBE_DENIED: entry("An admission policy or webhook refused the request.", "Change the object, or the policy that the message names.", {
    retryable: true,
  }),
  KUBE_QUOTA: entry("A quota is exceeded.", "Raise the ResourceQuota or free some; it is tried again.", { retryable: true }),
  KUBE_THROTTLED: entry("The API server asks to slow down (429).", "Nothing: the agent waits as long as it says.", { retryable: true }),
  KUBE_SERVER: entry("The API server failed (5xx).", "Look at the API server's log; it is tried again.", { retryable: true }),
  OBJECT_QUARANTINED: entry(
    "The agent's own code failed on this object, or three of its processes in a row died while they were at it.",
    "It is set aside and all others go on; please report it with the message and the object's shape. `muster reconcile` tries it again.",
  ),
  KUBE_TOO_LARGE: entry("The API server refuses the request as too large.", "Split the object."),
  KIND_UNKNOWN: entry("The cluster does not know the object's kind.", "Install its CustomResourceDefinition; the object waits for it.", {
    retryable: true,
  }),
  KIND_UNAVAILABLE: entry(
    "The API of the object's kind does not answer: its aggregated API server or its conversion webhook is down.",
    "Look at the APIService or the webhook that the message names. Only objects of this kind wait, and none of them is deleted.",
    { retryable: true },
  ),
  NAMESPACE_MISSING: entry(
    "The object's namespace does not exist.",
    "Declare the Namespace, or set `createNamespace: ifAbsent` in the bundle.",
    { retryable: true },
  ),
  POLICY_FORBIDDEN: entry(
    "The cluster's own policy for its agent does not allow this object.",
    "Take it out of Git, or have the cluster's owner allow it: values `policy` of the agent's chart.",
  ),
  POLICY_OBJECTS: entry(
    "A slice has more objects than the cluster's own policy for its agent allows; the last good one stays in force.",
    "Take objects out of Git, or have the cluster's owner raise `policy.maxObjects` of the agent's chart.",
  ),
  POLICY_DELETIONS: entry(
    "The cluster's own policy for its agent allows no more deletions now.",
    "They go on when the window has moved on. If they are meant, the cluster's owner may raise `policy.deletions` of the agent's chart.",
    { retryable: true },
  ),
  AGENT_PAUSED: entry(
    "Somebody has paused the agent in its own cluster: nothing is applied, corrected or deleted.",
    "`kubectl -n muster-agent annotate lease muster-agent muster.dev/paused-` lets it go on.",
    { retryable: true },
  ),
  NAMESPACE_NOT_WATCHED: entry(
    "The object's namespace is not among those that the agent of this cluster is to look at.",
    "Add it to `watchNamespaces` (or `rbac.namespaces`) of the agent's chart, or move the object.",
  ),
  NAMESPACE_TERMINATING: entry("The object's namespace is being deleted.", "The object is applied when the namespace is back.", {
    retryable: true,
  }),
  DEPENDENCY_NOT_READY: entry("A bundle that this one depends on is not healthy yet.", "Look at the bundle that the message names.", {
    retryable: true,
  }),
  ADOPT_REFUSED: entry(
    "The object exists already, and the bundle does not take it over.",
    "Remove it from the other tool first, if it has one. Or allow it, unless a controller owns the object: `adoption` of the bundle, or the annotation muster.dev/adopt on the object; the message says what would change then.",
  ),
  PRUNE_BLOCKED: entry(
    "An object that left Git could not be deleted.",
    "It stays in the inventory and is tried again; the message says who refuses.",
    { retryable: true },
  ),
  PRUNE_WAITING: entry(
    "An object that left Git is deleted when others that left Git too are gone: what lives in the Namespace, is of the kind, or is of a bundle that depends on its own.",
    "Nothing, unless it lasts: then look at who is to remove the finalizers of the objects that the message names.",
    { retryable: true },
  ),
  PRUNE_STUCK: entry(
    "An object that left Git is being deleted for more than ten minutes, because finalizers are outstanding.",
    "Look at the controller that is to remove the finalizers which the message names; take them off by hand only if it is gone for good.",
    { retryable: true },
  ),
  PRUNE_PROTECTED: entry(
    "An object that left Git stands where nothing is ever deleted (in kube-system, or in the agent's own namespace), or has the annotation muster.dev/prune: protect.",
    "Delete it by hand, or take its label muster.dev/bundle off to keep it; either way the agent forgets it then. With the annotation off it is deleted.",
  ),
  DELETION_HELD: entry(
    "Deletions wait for an approval: more than the budget allows, all that a cluster has, of a protected kind, of a paused bundle, or of objects that were only found by their label.",
    "If they are meant, write the id under spec.deletion.approvals of the Fleet document.",
  ),
  AGENT_IDENTITY: entry(
    "An agent's certificate names no cluster of this fleet, or another one than it claims.",
    "See `muster get agents`; let the agent join anew with `muster cluster join CLUSTER`.",
    { exitCode: 4, httpStatus: 403 },
  ),
  AGENT_OFFLINE: entry(
    "The cluster's agent is not connected.",
    "Look at the agent's pod and its network; what is shown of the cluster is old.",
    { retryable: true, exitCode: 3, httpStatus: 503 },
  ),
  HUB_UNREACHABLE: entry("The hub cannot be reached.", "Check the URL of the context and that the hub runs.", {
    retryable: true,
    exitCode: 3,
  }),
  API_UNAUTHORIZED: entry(
    "The request has no valid token.",
    "Send `Authorization: Bearer …`; the hub writes its token to api-token in its data folder.",
    { exitCode: 4, httpStatus: 401 },
  ),
  API_NOT_FOUND: entry("There is no such thing.", "Check the name; `muster get` lists what there is.", { exitCode: 5, httpStatus: 404 }),
  API_BAD_REQUEST: entry("The request is malformed.", "Correct the parameter that the message names.", { exitCode: 2, httpStatus: 400 }),
  API_TOO_LARGE: entry("The request's body is too large.", "Send less.", { exitCode: 2, httpStatus: 413 }),
  API_TOO_MANY: entry("More live views are open than the hub keeps at once.", "Close some of them, or try again later.", {
    retryable: true,
    exitCode: 3,
    httpStatus: 429,
  }),
  API_NOT_READY: entry("The hub has not loaded its state yet.", "Try again in a moment.", {
    retryable: true,
    exitCode: 3,
    httpStatus: 503,
  }),
  HOOK_SIGNATURE: entry("The webhook's signature is missing or wrong.", "Set the same secret at the Git host and in the hub.", {
    exitCode: 4,
    httpStatus: 401,
  }),
  CLI_USAGE: entry("The command was called wrongly.", "See `muster --help`.", { exitCode: 2 }),
  CLI_CONTEXT: entry("The CLI's configuration has no usable context.", "Run `muster context set NAME --url … --token-file …`.", {
    exitCode: 2,
  }),
  FLEET_UNHEALTHY: entry("Something in the fleet is not in order.", "`muster status` and `muster get targets` say what.", { exitCode: 1 }),
} as const;
