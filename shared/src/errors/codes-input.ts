import { entry } from "./codes.ts";

/** Git, fleet documents and rendering: what a person wrote, or where it comes from. */
export const INPUT_CODES = {
  SOURCE_AUTH: entry(
    "The Git server refused the credentials.",
    "Check the user and token in the credentials file of the source; a new file is picked up without a restart.",
    { retryable: true },
  ),
  SOURCE_UNREACHABLE: entry(
    "The Git server could not be reached or did not answer in time.",
    "Check the URL, the network and the server. The last commit stays in force meanwhile.",
    { retryable: true, exitCode: 3 },
  ),
  SOURCE_REF_MISSING: entry(
    "The branch, tag or commit does not exist in the repository.",
    "Check `ref` of the source, or push the branch again. The last commit stays in force.",
    { retryable: true },
  ),
  SOURCE_EMPTY: entry(
    "The repository has no commit, or its commit has no file.",
    "Push a first commit. An empty repository never means an empty fleet.",
  ),
  SOURCE_PATH_MISSING: entry(
    "The configured path does not exist in the commit.",
    "Check `path` of the source. A missing path never means an empty fleet.",
  ),
  SOURCE_PROTOCOL: entry(
    "The server's answer is not what Git's smart HTTP protocol says.",
    "Check that the URL names a Git repository; look at the server's log.",
    { retryable: true },
  ),
  SOURCE_CLONE: entry(
    "The hub's own clone of a repository cannot be read or written.",
    "Nothing if it passes: a damaged clone is made anew at the next look. If it stays, check the disk that holds `dataDir`, and its free space.",
    { retryable: true },
  ),
  SOURCE_CONFIG: entry(
    "The configuration of a source is not valid.",
    "Correct the hub's configuration; only http and https URLs are taken.",
    { exitCode: 2 },
  ),
  SOURCE_SIGNATURE: entry(
    "A commit or tag of the source is not signed as it must be; the last good commit stays in force.",
    "Have it signed by one of the source's signers, or add the signer to the file that `verify.allowedSignersFile` names.",
  ),
  SOURCE_REWRITTEN: entry(
    "The history of the watched ref was rewritten (a force-push).",
    "Nothing if it was meant: the new commit is taken, and a new generation follows.",
  ),
  YAML_SYNTAX: entry("A YAML file does not parse.", "Correct the file at the line given."),
  YAML_LIMIT: entry("A YAML file is too large, too deep or expands too far.", "Split the file; anchors may not multiply its content."),
  FLEET_UNKNOWN_KIND: entry(
    "A document's kind or apiVersion is not one that Muster knows.",
    "Use apiVersion muster.dev/v1alpha1 and kind Fleet, Cluster or Bundle.",
  ),
  FLEET_UNKNOWN_FIELD: entry(
    "A document has a field that its schema does not have.",
    "Check the spelling against the published JSON Schema.",
  ),
  FLEET_INVALID: entry("A document does not fit its schema.", "Correct the field that the message names."),
  FLEET_EMPTY_SELECTOR: entry("A selector has no requirement.", "Name labels, or write `all: true` if every cluster is meant."),
  FLEET_SELECTOR: entry(
    "A label selector is malformed.",
    "In and NotIn need values, Exists and DoesNotExist have none; keys and values follow Kubernetes' label syntax.",
  ),
  FLEET_DUPLICATE: entry("Two documents have the same kind and name.", "Rename or remove one; the message names both files."),
  FLEET_EMPTY: entry(
    "The fleet has no cluster or no bundle, but had some before.",
    "If everything is meant to go, remove it step by step, or approve it. Nothing was changed in any cluster.",
  ),
  FLEET_UNKNOWN_CLUSTER: entry("A document names a cluster that is not declared.", "Check the name, or add the Cluster document."),
  FLEET_DEPENDENCY: entry("dependsOn names a bundle that does not exist, or goes round in a circle.", "Correct dependsOn of the bundle."),
  EXPRESSION_INVALID: entry(
    "A CEL expression cannot be read, names something that does not exist, or gives the wrong type.",
    "Correct it where the message says. `object` is the one variable; shared/docs/expressions.md lists the functions.",
  ),
  EXPRESSION_FAILED: entry(
    "A CEL expression came to no value for an object, mostly because the object lacks a field.",
    "Ask first whether the field is there: has(object.status.x), or object.?status.?x.orValue(…).",
  ),
  EXPRESSION_COST: entry(
    "A CEL expression takes more steps on an object than are allowed.",
    "Write it with fewer loops inside one another, or ask for less of the object.",
  ),
  VARIABLE_UNSET: entry(
    "A ${VARIABLE} has no value for this cluster and no default.",
    "Set it in the cluster, the layer or the bundle, or write ${NAME:=default}.",
  ),
  VARIABLE_SYNTAX: entry("A ${…} expression cannot be read.", "Write ${NAME} or ${NAME:=default}; $${NAME} for a literal one."),
  BUNDLE_PATH_ESCAPE: entry(
    "A path, symlink or submodule leads out of the bundle's directory.",
    "Copy what is needed into the bundle; links out of it are never followed.",
  ),
  BUNDLE_FILE_MISSING: entry(
    "A file that the bundle names does not exist.",
    "Check the path; it is relative to the directory of bundle.yaml.",
  ),
  BUNDLE_EMPTY: entry(
    "The bundle renders to no object at all.",
    "Check values and patches. An empty result never means: delete everything.",
  ),
  PATCH_INVALID: entry(
    "A patch cannot be read, matches no object, or does not apply.",
    "Check the patch's target and its paths against the rendered object (`muster render`).",
  ),
  RENDER_HELM: entry("helm could not render the chart.", "Run `muster render CLUSTER BUNDLE` in a checkout to see the same error."),
  RENDER_KUSTOMIZE: entry(
    "kustomize could not build the overlay.",
    "Run `muster render CLUSTER BUNDLE` in a checkout to see the same error.",
  ),
  RENDER_TIMEOUT: entry(
    "Rendering took too long and was stopped.",
    "Make the chart or overlay smaller, or raise the hub's render timeout.",
  ),
  RENDER_LIMIT: entry(
    "Rendering used more memory or wrote more output than is allowed.",
    "Make the bundle smaller, or raise the hub's limits.",
  ),
  RENDER_TOOL_MISSING: entry(
    "helm or kustomize is not installed beside the hub.",
    "Install the version that the image carries, or set its path in the configuration.",
  ),
  RENDER_SANDBOX: entry(
    "The hub's machine could not make the sandbox in which a tool runs.",
    "It is short of disk, processes, memory or user namespaces (user.max_user_namespaces); look at the machine. It is tried again.",
    { retryable: true },
  ),
  RENDER_NONDETERMINISTIC: entry(
    "Two renders of the same input differ.",
    "Remove functions of chance and time from the chart, or pin their values; put in order what `keys` and `values` give.",
  ),
  CAPABILITIES_UNKNOWN: entry(
    "What a bundle renders to depends on what the cluster's API serves, and no agent has told that since the hub started.",
    "Nothing while the agent connects; it is rendered then. If it does not, look at the agent (`muster describe cluster`). What is applied stays.",
    { retryable: true },
  ),
  RENDER_REMOTE: entry(
    "A bundle refers to something on the network.",
    "Vendor the chart or base into the repository; rendering has no network.",
  ),
  OBJECT_INVALID: entry(
    "A rendered document is not a Kubernetes object that can be applied.",
    "It needs apiVersion, kind and metadata.name; generateName, uid and resourceVersion are refused.",
  ),
  OBJECT_DUPLICATE: entry("The same object is rendered twice on one cluster.", "Keep it in one place; the message names both."),
  OBJECT_RESERVED: entry(
    "A bundle contains an object that no bundle may manage.",
    "The agent's own namespace and its state are managed by its Helm chart.",
  ),
  OBJECT_TOO_LARGE: entry("An object is larger than the API server takes.", "Split it; the limit of a request is about 1.5 MiB in etcd."),
} as const;
