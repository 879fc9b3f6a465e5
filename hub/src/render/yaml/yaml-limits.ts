/** What one YAML file may cost. A file beyond a limit is refused with YAML_LIMIT before it costs more. */
export interface YamlLimits {
  /** Bytes of UTF-8. Default 16 MiB. */
  readonly maxBytes: number;
  /** Nesting of maps and lists, aliases expanded. Default 200. */
  readonly maxDepth: number;
  /** Nodes of one document, aliases expanded. Default 1 000 000: an object that the API server takes has fewer. */
  readonly maxNodes: number;
  /** Nodes that aliases and merge keys add to one document. Default 100 000. */
  readonly maxAliasNodes: number;
  /** Nodes that aliases and merge keys add to all documents of a file. Default 1 000 000. */
  readonly maxFileAliasNodes: number;
}

export const DEFAULT_YAML_LIMITS: YamlLimits = {
  maxBytes: 16 * 1024 * 1024,
  maxDepth: 200,
  maxNodes: 1_000_000,
  maxAliasNodes: 100_000,
  maxFileAliasNodes: 1_000_000,
};
