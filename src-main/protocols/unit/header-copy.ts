import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import type { UnitHeader } from '#shared/domain/unit-header.ts'
import { headerJsonLimitBytes } from '#shared/domain/unit-layout.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { roundUp } from '#shared/units/bytes.ts'
import { crc32c } from '../crc/crc32c.ts'
import { formatUuid, parseUuid } from '../gpt/guid.ts'
import { decodeHeaderJson, encodeHeaderJson } from './json.ts'

/**
 * One copy of the header, little endian (docs/unit-format.md):
 *
 *     0     8   magic "GANTRYU1"          48    16   unit id, in the order of its text
 *     8     4   format version            64     8   generation
 *     12    4   length of the JSON        72     4   CRC-32C of bytes 0 to 71
 *     16   32   SHA-256 of the JSON       76   436   zero, not looked at
 *                                         512    n   JSON in UTF-8
 */
const magic = Buffer.from('GANTRYU1')
const formatVersion = 1
const crcOffset = 72
const jsonOffset = 512
/** Writes are whole multiples of this: what a device with large sectors can take without reading first. */
const writeUnitBytes = 4096

export type HeaderCopy =
  /** No magic: nothing was ever written here. */
  | { readonly state: 'absent' }
  | { readonly state: 'broken'; readonly problem: string }
  /** The fixed part verifies, but another format is behind it. */
  | { readonly state: 'newer'; readonly generation: number; readonly formatVersion: number }
  | {
      readonly state: 'ok'
      readonly generation: number
      readonly header: UnitHeader
      readonly jsonSha256: string
    }

/** The copy, filled with zeros to a multiple of 4096 bytes. Throws bad-request (see {@link encodeHeaderJson}). */
export function encodeHeaderCopy(header: UnitHeader, generation: number): Uint8Array {
  if (!Number.isSafeInteger(generation) || generation < 1)
    throw new AppError('bad-request', `${generation} is not a generation: they count from 1`)
  const json = encodeHeaderJson(header)
  const bytes = Buffer.alloc(roundUp(jsonOffset + json.length, writeUnitBytes))
  bytes.set(magic, 0)
  bytes.writeUInt32LE(formatVersion, 8)
  bytes.writeUInt32LE(json.length, 12)
  bytes.set(sha256(json), 16)
  bytes.set(parseUuid(header.unitId), 48)
  bytes.writeBigUInt64LE(BigInt(generation), 64)
  bytes.writeUInt32LE(crc32c(bytes.subarray(0, crcOffset)), crcOffset)
  bytes.set(json, jsonOffset)
  return bytes
}

/** What a copy that verifies takes, in whole writes. */
export const copyBytes = (copy: Uint8Array): number =>
  roundUp(jsonOffset + Buffer.from(copy.buffer, copy.byteOffset).readUInt32LE(12), writeUnitBytes)

/** Never throws. `bytes` begins with the copy and may be longer or cut off. */
export function decodeHeaderCopy(bytes: Uint8Array): HeaderCopy {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (!view.subarray(0, magic.length).equals(magic)) return { state: 'absent' }
  if (view.length < jsonOffset) return broken(`it is cut off after ${view.length} bytes`)
  if (view.readUInt32LE(crcOffset) !== crc32c(view.subarray(0, crcOffset)))
    return broken('its checksum (CRC-32C) is wrong')

  const generation = view.readBigUInt64LE(64)
  if (generation < 1n || generation > BigInt(Number.MAX_SAFE_INTEGER))
    return broken(`its generation ${generation} is out of range`)
  const version = view.readUInt32LE(8)
  if (version === 0) return broken('its format version is 0')
  if (version > formatVersion)
    return { state: 'newer', generation: Number(generation), formatVersion: version }

  const jsonBytes = view.readUInt32LE(12)
  if (jsonBytes > headerJsonLimitBytes)
    return broken(`its JSON is said to have ${jsonBytes} bytes; at most ${headerJsonLimitBytes} fit`)
  if (jsonOffset + jsonBytes > view.length) return broken(`its JSON is cut off`)
  const json = view.subarray(jsonOffset, jsonOffset + jsonBytes)
  const digest = sha256(json)
  if (!digest.equals(view.subarray(16, 48))) return broken('the checksum (SHA-256) of its JSON is wrong')

  const header = decodeHeaderJson(json)
  if (typeof header === 'string') return broken(header)
  const unitId = formatUuid(view.subarray(48, 64))
  if (header.unitId !== unitId) return broken(`its JSON names unit ${header.unitId}, its marking ${unitId}`)
  return { state: 'ok', generation: Number(generation), header, jsonSha256: digest.toString('hex') }
}

const broken = (problem: string): HeaderCopy => ({ state: 'broken', problem })

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest()
