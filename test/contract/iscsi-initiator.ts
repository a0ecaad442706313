import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { LunAddress } from '#shared/domain/storage.ts'

/** What a real initiator is told about a LUN. The NAA name as hex, cut at a zero byte (iscsi-inq prints it as text). */
export interface Inquiry {
  readonly serial: string
  readonly naa: string
}

/** A login that lasts until logOut. */
export interface Session {
  /** Reads the first sector; throws when the LUN does not answer any more. */
  read(): Promise<void>
  logOut(): Promise<void>
}

/** What libiscsi says when the target does not admit the initiator, and when there is no such target (tgtd hangs up). */
const refusals = /Target not found|iscsi_service_reconnect_if_loggedin/

/** Asks as this initiator through libiscsi. undefined: the target does not admit it, or is not there. */
export async function inquire(address: LunAddress, initiator: string): Promise<Inquiry | undefined> {
  const serial = await inquiryPage(address, initiator, 0x80)
  const ids = await inquiryPage(address, initiator, 0x83)
  if (serial === undefined || ids === undefined) return undefined
  const naa =
    /Designator Type:\(3\) NAA\nDesignator:\[([^]*?)\]\s*(?:DEVICE DESIGNATOR|$)/.exec(ids)?.[1] ?? ''
  return {
    serial: /^Unit Serial Number:\[ *(.*)\]/m.exec(serial)?.[1] ?? '',
    naa: Buffer.from(naa, 'latin1').toString('hex'),
  }
}

function inquiryPage(address: LunAddress, initiator: string, page: number): Promise<string | undefined> {
  const url = `iscsi://${address.portal}/${address.target}/${address.lun}`
  const args = ['-i', initiator, '--evpd=1', `--pagecode=${page}`, url]
  return new Promise((resolve, reject) => {
    execFile('iscsi-inq', args, { encoding: 'latin1', timeout: 20_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else if (refusals.test(stderr)) resolve(undefined)
      else reject(new Error(`iscsi-inq: ${stderr}`, { cause: error }))
    })
  })
}

/** Logs in and stays so, by QEMU's own initiator. */
export async function logIn(address: LunAddress, initiator: string): Promise<Session> {
  const options = `driver=iscsi,transport=tcp,portal=${address.portal},target=${address.target},lun=${address.lun},initiator-name=${initiator}`
  const child = spawn('qemu-io', ['--image-opts', options], { stdio: ['pipe', 'pipe', 'pipe'] })
  const ended = once(child, 'exit')
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const answer = async (): Promise<string> => {
    while (!said.endsWith('qemu-io> ')) {
      const ending = await Promise.race([once(child.stdout, 'data'), ended.then(() => 'ended' as const)])
      if (ending === 'ended') throw new Error(`qemu-io ended: ${said}`)
    }
    const text = said
    said = ''
    return text
  }
  await answer()
  return {
    async read() {
      child.stdin.write('read 0 512\n')
      const text = await answer()
      if (!/512\/512 bytes/.test(text)) throw new Error(`qemu-io: ${text}`)
    },
    async logOut() {
      child.stdin.end('quit\n')
      await ended
    },
  }
}
