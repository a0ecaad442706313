const KiB = 1024
const MiB = 1024 * KiB

/** What an initiator may ask for, so that no initiator can make the target hold more than it has room for. */
export const limits = {
  /** Of one command; told in the block limits page. 32 MiB. */
  transferBlocks: 65_536,
  compareAndWriteBlocks: 255,
  unmapDescriptors: 256,
  lbaStatusDescriptors: 1024,

  /** Commands under way in a session; what the window lets in. */
  commands: 128,
  /** One data segment in either direction, after login. */
  segmentBytes: 256 * KiB,
  /** What may come with and right behind a command, unasked. */
  firstBurstBytes: 128 * KiB,
  burstBytes: MiB,
  r2tsOfTask: 4,
  /** Data asked for and not written yet, of a session and of all. */
  sessionWriteBytes: 32 * MiB,
  targetWriteBytes: 256 * MiB,
  /** Memory that a session keeps to use it again. */
  spareBytes: 16 * MiB,
  /** Answers that the initiator has not taken: then no more data is read for it, and then nothing more is taken from it. */
  unsentDataBytes: 2 * MiB,
  unsentBytes: 8 * MiB,

  connections: 1024,
  /** Not logged in to a target, discovery sessions among them; the oldest gives way to a new one. */
  logins: 128,
  loginMs: 15_000,
  /** Of a discovery session in which nothing is asked. */
  discoveryMs: 30_000,
  sessionsOfLun: 64,
} as const
