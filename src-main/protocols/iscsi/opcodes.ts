/** RFC 7143, section 11.2.1.2. */
export const opcode = {
  nopOut: 0x00,
  scsiCommand: 0x01,
  taskManagementRequest: 0x02,
  loginRequest: 0x03,
  textRequest: 0x04,
  dataOut: 0x05,
  logoutRequest: 0x06,
  snackRequest: 0x10,
  nopIn: 0x20,
  scsiResponse: 0x21,
  taskManagementResponse: 0x22,
  loginResponse: 0x23,
  textResponse: 0x24,
  dataIn: 0x25,
  logoutResponse: 0x26,
  readyToTransfer: 0x31,
  asyncMessage: 0x32,
  reject: 0x3f,
} as const

export const opcodeMask = 0x3f
export const bhsBytes = 48
/** 255 words of four bytes. */
export const ahsMaxBytes = 1020
/** DataSegmentLength has 24 bits. */
export const dataSegmentMaxBytes = 0xffffff
export const digestBytes = 4
/** The task tag that names no task. */
export const reservedTag = 0xffffffff

/** Where the fields of the hot path stand in a header; the layouts in pdus.ts tell the whole. */
export const at = {
  flags: 1,
  response: 2,
  status: 3,
  totalAhsLength: 4,
  dataSegmentLength: 5,
  lun: 8,
  initiatorTaskTag: 16,
  targetTransferTag: 20,
  expectedDataTransferLength: 20,
  cmdSn: 24,
  statSn: 24,
  expStatSn: 28,
  expCmdSn: 28,
  maxCmdSn: 32,
  cdb: 32,
  dataSn: 36,
  bufferOffset: 40,
  desiredDataTransferLength: 44,
  residualCount: 44,
} as const

/** Bits of byte 0 and of byte 1 of the PDUs of the hot path. */
export const bit = {
  immediate: 0x40,
  final: 0x80,
  /** SCSI Command. */
  read: 0x40,
  write: 0x20,
  /** Data-In. */
  acknowledge: 0x40,
  hasStatus: 0x01,
  /** Data-In and SCSI Response. */
  overflow: 0x04,
  underflow: 0x02,
} as const

/** Section 11.4.1 has a Simple task in the low three bits of the command's flags. */
export const taskAttribute = { untagged: 0, simple: 1, ordered: 2, headOfQueue: 3, aca: 4 } as const

/** Section 11.5.1. */
export const taskFunction = {
  abortTask: 1,
  abortTaskSet: 2,
  clearAca: 3,
  clearTaskSet: 4,
  logicalUnitReset: 5,
  targetWarmReset: 6,
  targetColdReset: 7,
  taskReassign: 8,
} as const

/** Section 11.6.1. */
export const taskResponse = {
  complete: 0,
  noSuchTask: 1,
  noSuchLun: 2,
  taskStillAllegiant: 3,
  reassignmentNotSupported: 4,
  notSupported: 5,
  authorizationFailed: 6,
  rejected: 255,
} as const

/** Section 11.14.1. */
export const logoutReason = { closeSession: 0, closeConnection: 1, removeForRecovery: 2 } as const
/** Section 11.15.1. */
export const logoutAnswer = {
  closed: 0,
  noSuchConnection: 1,
  recoveryNotSupported: 2,
  cleanupFailed: 3,
} as const

/** Section 11.9.1. */
export const asyncEvent = {
  scsi: 0,
  logoutWanted: 1,
  connectionDropped: 2,
  sessionDropped: 3,
  negotiationWanted: 4,
  tasksTerminated: 5,
  vendor: 255,
} as const

/** Section 11.17.1. */
export const rejectReason = {
  dataDigestError: 0x02,
  snackReject: 0x03,
  protocolError: 0x04,
  commandNotSupported: 0x05,
  immediateCommandReject: 0x06,
  taskInProgress: 0x07,
  invalidDataAck: 0x08,
  invalidPduField: 0x09,
  longOperationReject: 0x0a,
  waitingForLogout: 0x0c,
} as const

/** Section 11.12.3. */
export const loginStage = { security: 0, operational: 1, fullFeature: 3 } as const

/** Section 11.13.5: class in the high byte, detail in the low. */
export const loginStatus = {
  success: 0x0000,
  movedTemporarily: 0x0101,
  movedPermanently: 0x0102,
  initiatorError: 0x0200,
  authenticationFailed: 0x0201,
  forbidden: 0x0202,
  notFound: 0x0203,
  targetRemoved: 0x0204,
  unsupportedVersion: 0x0205,
  tooManyConnections: 0x0206,
  missingParameter: 0x0207,
  cannotInclude: 0x0208,
  sessionTypeNotSupported: 0x0209,
  sessionDoesNotExist: 0x020a,
  invalidDuringLogin: 0x020b,
  targetError: 0x0300,
  serviceUnavailable: 0x0301,
  outOfResources: 0x0302,
} as const
