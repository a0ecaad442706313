/** SAM-5, 5.3.1. */
export const scsiStatus = {
  good: 0x00,
  checkCondition: 0x02,
  conditionMet: 0x04,
  busy: 0x08,
  reservationConflict: 0x18,
  taskSetFull: 0x28,
  acaActive: 0x30,
  taskAborted: 0x40,
} as const
export type ScsiStatus = (typeof scsiStatus)[keyof typeof scsiStatus]
