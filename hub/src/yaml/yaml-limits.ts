/** What one YAML file may cost. A file beyond a limit is refused with YAML_LIMIT before it costs more. */
export interface YamlLimits {
  /** Bytes of UTF-8. Default 16 MiB. */
  readonly maxBytes: number;
  /** Nesting of maps and lists, aliases expanded. Default 200. */
  readonly maxDepth: number;
  /**
   * Nodes of one document, aliases expanded, and separators in its text. Default 500 000: an object that the API server takes has fewer, and
   * the parser is done with them in half a second and 100 MB.
   */
  readonly maxNodes: number;
  /**
   * Nodes of all documents of a file together. Default 6 000 000: 64 MiB of manifests have about 4 500 000, and as many
   * empty maps take 400 MB.
   */
  readonly maxFileNodes: number;
  /** Nodes that aliases and merge keys add to one document. Default 100 000. */
  readonly maxAliasNodes: number;
  /** Nodes that aliases and merge keys add to all documents of a file. Default 1 000 000. */
  readonly maxFileAliasNodes: number;
}

export const DEFAULT_YAML_LIMITS: YamlLimits = {
  maxBytes: 16 * 1024 * 1024,
  maxDepth: 200,
  maxNodes: 500_000,
  maxFileNodes: 6_000_000,
  maxAliasNodes: 100_000,
  maxFileAliasNodes: 1_000_000,
};
