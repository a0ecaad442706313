import { createCrc32 } from './slicing.ts'

/** CRC-32C (Castagnoli, RFC 3720 appendix B.4), as iSCSI digests and the unit header have it; unsigned. */
export const crc32c = createCrc32(0x82f63b78)
