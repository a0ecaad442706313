import { createCrc32 } from './slicing.ts'

/** CRC-32 of IEEE 802.3, as GPT has it (UEFI 2.10, section 5.3.2); unsigned. */
export const crc32 = createCrc32(0xedb88320)
