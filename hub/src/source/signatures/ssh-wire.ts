/** Reads what RFC 4251, section 5, calls strings and numbers. Throws where it ends too early. */
export class SshReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  bytes(length: number): Buffer {
    if (length > this.#bytes.length - this.#at) throw new RangeError("it is cut");
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  uint32(): number {
    return this.bytes(4).readUInt32BE();
  }

  string(): Buffer {
    return this.bytes(this.uint32());
  }

  text(): string {
    return this.string().toString("utf8");
  }

  /** A number that is not negative, without its leading zero. */
  mpint(): Buffer {
    const bytes = this.string();
    if (bytes.length > 0 && (bytes.readUInt8() & 0x80) !== 0) throw new RangeError("a number is negative");
    const first = bytes.findIndex((byte) => byte !== 0);
    return bytes.subarray(first < 0 ? bytes.length : first);
  }

  /** Throws if anything is left: what nobody reads, somebody may have hidden there. */
  end(): void {
    if (this.#at !== this.#bytes.length) throw new RangeError("something follows it");
  }
}

export function sshString(bytes: Uint8Array | string): Buffer {
  const content = Buffer.from(bytes);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length);
  return Buffer.concat([length, content]);
}
