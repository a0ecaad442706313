import { isIP } from 'node:net'
import { AppError } from '#shared/errors/app-error.ts'
import { lunIdentitySchema } from '#shared/domain/storage.ts'
import type { ChapSettings, TargetLunRequest } from './contract.ts'

const bad = (request: TargetLunRequest, message: string): AppError =>
  new AppError('bad-request', message, { object: request.identity.name })

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))

/** RFC 7143, 4.2.7: iqn., eui. or naa., at most 223 bytes, in lower case. */
const iscsiName = /^(?:iqn\.\d{4}-\d{2}\.[a-z0-9.:-]+|eui\.[0-9a-f]{16}|naa\.[0-9a-f]{16}(?:[0-9a-f]{16})?)$/
const isIscsiName = (name: string): boolean => name.length <= 223 && iscsiName.test(name)
const isAscii = (text: string, most: number): boolean => text.length <= most && /^[\x20-\x7e]*$/.test(text)

/** What is wrong with a LUN whatever its file is. Throws bad-request. */
export function requireLun(request: TargetLunRequest): void {
  const { identity, sizeBytes, vendor, product, initiators } = request
  if (!lunIdentitySchema.safeParse(identity).success || identity.lun > 0x3fff)
    throw bad(request, 'The identity of the LUN is not valid')
  if (!/^[A-Za-z0-9._-]{1,36}$/.test(identity.serial))
    throw bad(request, 'The serial of the LUN is not valid')
  if (!isIscsiName(identity.target)) throw bad(request, `"${identity.target}" is no iSCSI name`)
  for (const name of initiators) if (!isIscsiName(name)) throw bad(request, `"${name}" is no iSCSI name`)
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 512 || sizeBytes % 512 !== 0)
    throw bad(request, 'The size of a LUN is a multiple of 512 bytes, and not nothing')
  if (!isAscii(vendor, 8) || !isAscii(product, 16))
    throw bad(request, 'Vendor and product are ASCII, at most 8 and 16 characters')
}

/** What a portal may ask for. Throws bad-request. */
export function requireChap(chap: ChapSettings | undefined, host: string): void {
  if (chap === undefined) {
    if (isLoopback(host)) return
    throw new AppError('bad-request', 'A portal that other computers can reach needs CHAP', { object: host })
  }
  for (const side of [chap.initiator, chap.target]) {
    if (side === undefined) continue
    const length = Buffer.byteLength(side.secret)
    if (length < 12 || length > 255) throw new AppError('bad-request', 'A CHAP secret has 12 to 255 bytes')
    if (side.name === '' || Buffer.byteLength(side.name) > 255)
      throw new AppError('bad-request', 'A CHAP name has 1 to 255 bytes')
  }
  if (chap.target?.secret === chap.initiator.secret)
    throw new AppError('bad-request', 'The CHAP secrets of the two directions must be different')
}

/** A LUN that is shorter than its file would hide data. */
export function requireSize(request: TargetLunRequest, fileBytes: number): void {
  if (request.sizeBytes < fileBytes)
    throw bad(request, `The file has ${fileBytes} bytes, more than the LUN's ${request.sizeBytes}`)
}
