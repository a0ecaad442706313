import { at } from '#main/protocols/iscsi/opcodes.ts'
import { serialBefore, serialDistance, serialNext } from '#main/protocols/iscsi/serial.ts'
import type { LoggedIn } from './log-in.ts'

/** The numbers of a session's commands and statuses (RFC 7143, section 4.2.2). */
export class Sequence {
  /** Of the next command that is not immediate. */
  cmdSn: number
  expStatSn: number
  #maxCmdSn: number
  #expCmdSn: number

  constructor(firstCmdSn: number, { expStatSn, expCmdSn, maxCmdSn }: LoggedIn) {
    this.cmdSn = firstCmdSn
    this.expStatSn = expStatSn
    this.#expCmdSn = expCmdSn
    this.#maxCmdSn = maxCmdSn
  }

  /** Whether the target takes another command. */
  get isOpen(): boolean {
    return serialDistance(this.cmdSn, this.#maxCmdSn) >= 0
  }

  takeCmdSn(): number {
    const { cmdSn } = this
    this.cmdSn = serialNext(cmdSn)
    return cmdSn
  }

  /** For headers that use up a StatSN. */
  takeStatSn(header: Buffer, offset: number): void {
    const statSn = header.readUInt32BE(offset + at.statSn)
    if (!serialBefore(statSn, this.expStatSn)) this.expStatSn = serialNext(statSn)
  }

  /** Section 4.2.2.1: numbers that go back, or a window that ends before it begins, are not taken. */
  moveWindow(header: Buffer, offset: number): void {
    const expCmdSn = header.readUInt32BE(offset + at.expCmdSn)
    const maxCmdSn = header.readUInt32BE(offset + at.maxCmdSn)
    if (serialDistance(expCmdSn, maxCmdSn) < -1) return
    if (serialBefore(this.#maxCmdSn, maxCmdSn)) this.#maxCmdSn = maxCmdSn
    if (serialBefore(this.#expCmdSn, expCmdSn)) this.#expCmdSn = expCmdSn
  }
}
