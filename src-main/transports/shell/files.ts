export interface FileFacts {
  readonly kind: 'file' | 'folder' | 'link' | 'other'
  readonly sizeBytes: number
}

export interface FolderEntry extends FileFacts {
  readonly name: string
}

export interface ReadOptions {
  readonly signal: AbortSignal
  /** Where to begin; default 0. */
  readonly offset?: number
  /** Default: to the end of the file. A range that goes beyond the end is short. */
  readonly lengthBytes?: number
  /** Gets the bytes in order and is awaited (back-pressure); it may keep the chunk. */
  readonly accept: (chunk: Uint8Array) => void | Promise<void>
}

/**
 * Files of one device, with the rights of the user who is logged in. Paths are text: a name on the device that is not
 * UTF-8 is device-rejected and named. Errors: not-found, auth-failed (no right), bad-request (not a regular file, a
 * path that cannot be one), not-supported (the device offers no files), stale (the file changed while it was read),
 * device-rejected, unreachable, timeout, cancelled. Nothing is retried.
 */
export interface RemoteFiles {
  /** Follows links. undefined: not there. */
  stat(path: string, signal: AbortSignal): Promise<FileFacts | undefined>
  /** Without "." and ".."; links are not followed. */
  list(path: string, signal: AbortSignal): Promise<FolderEntry[]>
  /** Resolves with the number of bytes that were handed on. */
  read(path: string, options: ReadOptions): Promise<number>
  /**
   * Makes or replaces a file, in one moment, once all its bytes are on the device (flushed where the device can).
   * After an error the file is what it was before; `effect` is none when nothing is left of the attempt either,
   * otherwise `facts` name what may be left. Resolves with the number of bytes.
   */
  write(path: string, content: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<number>
}
