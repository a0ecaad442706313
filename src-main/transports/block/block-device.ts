/** What is read of a file of this computer: the rest of `sizeBytes` is zeros. Extents are in order and do not overlap. */
export interface FileContent {
  readonly path: string
  readonly sizeBytes: number
  readonly extents: readonly {
    /** Where in the file. */
    readonly fileOffset: number
    /** Where in the content. */
    readonly offset: number
    readonly lengthBytes: number
  }[]
}

export interface BulkOptions {
  readonly signal: AbortSignal
  readonly report?: (progress: { readonly bytes: number; readonly totalBytes?: number }) => void
}

/**
 * A disk: a LUN over a session, or a file. Offsets and lengths are bytes, multiples of `blockBytes`, and inside the
 * disk (bad-request otherwise). Errors: unreachable and timeout (`effect: unknown` for what changes something),
 * device-rejected (the device's sense data in the facts), busy (reserved by another), stale (the LUN is not the one
 * that was opened any more, or was resized), cancelled.
 */
export interface BlockDevice {
  /** For messages: "LUN web of array lab". */
  readonly name: string
  readonly blockBytes: number
  readonly sizeBytes: number
  readonly isReadOnly: boolean

  read(offset: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array>
  write(offset: number, bytes: Uint8Array, signal: AbortSignal): Promise<void>
  /** What was written before is durable when it resolves. */
  flush(signal: AbortSignal): Promise<void>
  /** Gives the blocks back; they read as zeros or as before. Absent: the device cannot. */
  readonly unmap?: (offset: number, lengthBytes: number, signal: AbortSignal) => Promise<void>
  /** Writes if the device holds `expected` there, in one indivisible step. false: it does not. Absent: the device cannot. */
  readonly compareAndWrite?: (
    offset: number,
    expected: Uint8Array,
    bytes: Uint8Array,
    signal: AbortSignal,
  ) => Promise<boolean>

  /**
   * Bulk work: a session's data stay in its worker, and the main thread answers while it goes on. Zeros are not written
   * where `isZeroed` says that the disk reads as zeros there. Not flushed. bytesWritten: without the zeros that were
   * left out. sha256: hex, of the whole content with its zeros. stale: the content's file is not what it was.
   */
  writeContent(
    offset: number,
    content: FileContent,
    options: BulkOptions & { readonly isZeroed: boolean },
  ): Promise<{ readonly sha256: string; readonly bytesWritten: number }>
  /** SHA-256 (hex) of a region as the device gives it. */
  hash(offset: number, lengthBytes: number, options: BulkOptions): Promise<string>
  /** Reads a region into a new sparse file of this computer (not-found, busy when it is there). Returns its SHA-256. */
  readIntoFile(offset: number, lengthBytes: number, path: string, options: BulkOptions): Promise<string>

  close(): Promise<void>
}
