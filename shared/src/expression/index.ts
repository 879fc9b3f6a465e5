export { compilePredicate, compileText, type Expression } from "./compile.ts";
