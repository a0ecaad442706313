/** Serial numbers of 32 bits (RFC 1982): CmdSN, StatSN and their like. */
export const serialNext = (value: number): number => (value + 1) >>> 0

/** Whether `a` comes before `b`, over the wrap of the numbers. */
export const serialBefore = (a: number, b: number): boolean => ((a - b) | 0) < 0

/** How far `to` is ahead of `from`; negative when it is behind. */
export const serialDistance = (from: number, to: number): number => (to - from) | 0
