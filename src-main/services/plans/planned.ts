/** A job that is worked out but not committed: what `jobs.start` takes, and what the user should know before. */
export interface PlannedWork {
  readonly kind: string
  readonly plan: object
  readonly warnings: readonly string[]
  readonly bytesToMove: number
  /** As nameOfLock says. */
  readonly breaksLock?: string
}
