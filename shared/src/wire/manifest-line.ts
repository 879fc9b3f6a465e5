import { zstdDecompressSync } from "node:zlib";
import {
  type Digest,
  formatObjectRef,
  isJsonObject,
  type JsonObject,
  type Manifest,
  type ObjectRefText,
  objectRefOf,
  parseObjectRef,
} from "../model/index.ts";
import { compress } from "./compress.ts";
import { digestBytes } from "./digest.ts";

/**
 * One object of a verified manifest set. A cluster may have tens of thousands of them, so only what is looked at again and again
 * is at hand; the manifest lies compressed until it is asked for.
 */
export interface ManifestLine {
  readonly ref: ObjectRefText;
  /** Digest of the object's canonical JSON: equal digests need no apply. */
  readonly digest: Digest;
  /** `apiVersion`, `kind`, name, namespace, and the annotations that say what an agent is to do. Costs next to nothing. */
  readonly head: Manifest;
  /** Parsed anew each time: for who applies this one object, not for who goes through all of them. */
  readonly manifest: Manifest;
}

/** Bytes that are compressed together: what one manifest costs to read. Smaller ones would compress worse. */
const BLOCK_BYTES = 64 * 1024;

/** Prefixes of the annotations that say what an agent is to do with an object. */
const SPEAKING = ["muster.dev/", "helm.sh/"];

/** Manifests that lie together; compressed as soon as there are enough of them. */
interface Block {
  length: number;
  compressed: Uint8Array;
}

/** The block that was read last: who applies a set goes through it in its order, and so reads each block once. */
let lastRead: { readonly block: Block; readonly bytes: Buffer } | undefined;

function read(block: Block, at: number, length: number): string {
  if (lastRead?.block !== block) {
    lastRead = { block, bytes: zstdDecompressSync(block.compressed, { maxOutputLength: Math.max(block.length, 1) }) };
  }
  return lastRead.bytes.toString("utf8", at, at + length);
}

class CompressedLine implements ManifestLine {
  readonly ref: ObjectRefText;
  readonly digest: Digest;
  readonly #apiVersion: string;
  readonly #annotations: JsonObject | undefined;
  readonly #block: Block;
  readonly #at: number;
  readonly #length: number;

  constructor(manifest: Manifest, apiVersion: string, text: Uint8Array, block: Block) {
    this.ref = formatObjectRef(objectRefOf(manifest));
    this.digest = digestBytes(text);
    this.#apiVersion = apiVersion;
    this.#annotations = speakingAnnotations(manifest);
    this.#block = block;
    this.#at = block.length;
    this.#length = text.length;
  }

  get head(): Manifest {
    const { kind, namespace, name } = parseObjectRef(this.ref);
    return {
      apiVersion: this.#apiVersion,
      kind,
      metadata: {
        name,
        ...(namespace !== "" && { namespace }),
        ...(this.#annotations && { annotations: this.#annotations }),
      },
    };
  }

  get manifest(): Manifest {
    return JSON.parse(read(this.#block, this.#at, this.#length)) as Manifest;
  }
}

/** Makes lines of the manifests of one set, in their order. */
export class LineWriter {
  readonly #apiVersions = new Map<string, string>();
  #block: Block = emptyBlock();
  #parts: Uint8Array[] = [];

  /** `text` is the manifest as canonical JSON. The line can be read after {@link end}. */
  add(manifest: Manifest, text: Uint8Array): ManifestLine {
    const line = new CompressedLine(manifest, this.#shared(manifest.apiVersion), text, this.#block);
    this.#parts.push(text);
    this.#block.length += text.length;
    if (this.#block.length >= BLOCK_BYTES) this.end();
    return line;
  }

  end(): void {
    this.#block.compressed = compress(Buffer.concat(this.#parts));
    this.#block = emptyBlock();
    this.#parts = [];
  }

  /** Thousands of objects of one version need its name once. */
  #shared(apiVersion: string): string {
    const known = this.#apiVersions.get(apiVersion);
    if (known === undefined) this.#apiVersions.set(apiVersion, apiVersion);
    return known ?? apiVersion;
  }
}

function emptyBlock(): Block {
  return { length: 0, compressed: new Uint8Array() };
}

function speakingAnnotations(manifest: Manifest): JsonObject | undefined {
  const annotations = manifest.metadata["annotations"];
  if (!isJsonObject(annotations)) return undefined;
  const speaking = Object.entries(annotations).filter(([key]) => SPEAKING.some((prefix) => key.startsWith(prefix)));
  return speaking.length === 0 ? undefined : Object.fromEntries(speaking);
}
