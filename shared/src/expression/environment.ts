import { Environment } from "@marcbachmann/cel-js";

/** What the library does not know of itself, as Kubernetes and cel-go name it. */
const SIGNATURES = [
  "string.charAt(int): string",
  "string.replace(string, string): string",
  "string.replace(string, string, int): string",
  "list.sum(): dyn",
  "list.min(): dyn",
  "list.max(): dyn",
  "list.isSorted(): bool",
  "list.indexOf(dyn): int",
  "list.lastIndexOf(dyn): int",
  "quantity(string): Quantity",
  "quantity(int): Quantity",
  "quantity(double): Quantity",
  "isQuantity(string): bool",
  "isQuantity(int): bool",
  "isQuantity(double): bool",
  "Quantity.isGreaterThan(Quantity): bool",
  "Quantity.isLessThan(Quantity): bool",
  "Quantity.compareTo(Quantity): int",
  "Quantity.sign(): int",
  "Quantity.add(Quantity): Quantity",
  "Quantity.add(int): Quantity",
  "Quantity.sub(Quantity): Quantity",
  "Quantity.sub(int): Quantity",
  "Quantity.isInteger(): bool",
  "Quantity.asInteger(): int",
  "Quantity.asApproximateFloat(): double",
];

/** A type that only has a name here: values of it are ours. */
class NamedType {}

/** Reads and checks expressions, with `object` as the one variable. Evaluating them is not its task: it does not bound what that costs. */
export function createEnvironment(): Environment {
  const environment = new Environment({
    enableOptionalTypes: true,
    homogeneousAggregateLiterals: false,
    limits: { maxAstNodes: 1_000, maxDepth: 50, maxListElements: 200, maxMapEntries: 200 },
  });
  environment.registerVariable("object", "map<string, dyn>").registerType("Quantity", NamedType);
  environment.registerOperator("Quantity == Quantity", neverCalled);
  for (const signature of SIGNATURES) environment.registerFunction(signature, neverCalled);
  return environment;
}

function neverCalled(): never {
  throw new Error("the library evaluates nothing");
}
