/** The vocabulary: pure types, constructors and total functions. Imports nothing from outside this folder. */
export { Action, DriftKind, Freshness, Health, worstHealth } from "./health.ts";
export { cloneJson, isJsonObject, type JsonObject, type JsonValue, setOwn } from "./json.ts";
export { isEmptySelector, type LabelSelector, type Labels, matchesSelector, SelectorOperator, type SelectorRequirement } from "./labels.ts";
export { API_VERSION, BUNDLE_LABEL, BUNDLE_NAME_PATTERN, CLUSTER_NAME_PATTERN, FIELD_MANAGER, isClusterName } from "./names.ts";
export {
  describeObjectRef,
  formatObjectRef,
  isManifest,
  type Manifest,
  type ObjectRef,
  type ObjectRefText,
  objectRefOf,
  parseObjectRef,
  splitApiVersion,
} from "./object-ref.ts";
export {
  type BundleReport,
  type ClusterFacts,
  type ClusterReport,
  type DriftDetail,
  type FieldChange,
  type FieldOwner,
  type HeldDeletion,
  type ObjectException,
  type ReportedEvent,
  type SliceCondition,
  SyncState,
} from "./report.ts";
export {
  Adoption,
  type BundleOptions,
  type CommitRef,
  compareGenerations,
  DEFAULT_DELETION_BUDGET,
  type DeletionBudget,
  type DesiredBundle,
  type Digest,
  type DriftIgnore,
  DriftMode,
  formatRevision,
  type Generation,
  type HealthRule,
  type KeptBundle,
  type ManifestSetRef,
  MIN_PERCENT_DELETIONS,
  OnRemoval,
  type ReadinessRule,
  type ServiceAccountRef,
  type Slice,
  type SliceBundle,
  type SliceContent,
} from "./slice.ts";
