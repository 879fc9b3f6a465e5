/** The vocabulary: pure types, constructors and total functions. Imports nothing from outside this folder. */
export * from "./health.ts";
export * from "./json.ts";
export * from "./labels.ts";
export * from "./names.ts";
export * from "./object-ref.ts";
export * from "./report.ts";
export * from "./slice.ts";
