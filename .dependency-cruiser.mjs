// For editors and the `depcruise` command; the rules stand where they are tested.
import { DEPENDENCY_RULES } from "./test/architecture/dependency-rules.ts";

export default DEPENDENCY_RULES;
