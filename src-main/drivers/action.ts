/** Bytes moved so far by a running action; `totalBytes` when known. */
export interface ByteProgress {
  readonly bytes: number
  readonly totalBytes?: number
}

export interface RunContext {
  readonly signal: AbortSignal
  readonly report?: (progress: ByteProgress) => void
}

/**
 * Something that a driver can do to a device, as a value: `commands` are the exact commands that `run` will send
 * (shown in the plan before anything runs); making an Action sends nothing.
 */
export interface Action<T = void> {
  readonly commands: readonly string[]
  run(context: RunContext): Promise<T>
}
