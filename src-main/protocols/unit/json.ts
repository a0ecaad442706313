import { Buffer } from 'node:buffer'
import { unitHeaderSchema } from '#shared/domain/unit-header.ts'
import type { UnitHeader } from '#shared/domain/unit-header.ts'
import { headerJsonLimitBytes } from '#shared/domain/unit-layout.ts'
import { AppError } from '#shared/errors/app-error.ts'

/** Deeper JSON is refused: recursive code (stringify, structured clone) would end on a hostile unit. */
const depthLimit = 64

/**
 * The header as JSON in UTF-8. Throws bad-request when it does not fit the schema or is too long, and then says which
 * part is the large one.
 */
export function encodeHeaderJson(header: UnitHeader): Uint8Array {
  const checked = unitHeaderSchema.safeParse(header)
  if (!checked.success)
    throw new AppError('bad-request', `The unit header is not valid: ${describeIssues(checked.error)}`)
  const json = Buffer.from(JSON.stringify(header))
  if (json.length > headerJsonLimitBytes) {
    const [path, bytes] = largestPart(header)
    throw new AppError(
      'bad-request',
      `The unit header has ${json.length} bytes, but at most ${headerJsonLimitBytes} fit`,
      {
        facts: { 'largest part': `${path}, ${bytes} bytes` },
        advice: `Make ${path} shorter: fewer files in the container, or a smaller configuration or notes.`,
      },
    )
  }
  return json
}

/** The inverse; a text that says what is wrong instead of an error. Fields that are not in the schema are kept. */
export function decodeHeaderJson(bytes: Uint8Array): UnitHeader | string {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return 'its JSON is not UTF-8'
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'its JSON cannot be parsed'
  }
  if (isDeeperThan(depthLimit, value)) return `its JSON is nested more than ${depthLimit} deep`
  const checked = unitHeaderSchema.safeParse(value)
  return checked.success
    ? checked.data
    : `its JSON does not fit format version 1: ${describeIssues(checked.error)}`
}

function isDeeperThan(limit: number, value: unknown): boolean {
  let level = [value]
  for (let depth = 0; depth <= limit && level.length > 0; depth++)
    level = level.flatMap((item) =>
      typeof item === 'object' && item !== null ? (Object.values(item) as unknown[]) : [],
    )
  return level.length > 0
}

interface Issues {
  readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[]
}

const describeIssues = ({ issues }: Issues): string =>
  issues
    .slice(0, 3)
    .map(({ path, message }) => `${path.map(String).join('.') || 'the whole'}: ${message}`)
    .join('; ')

/** Follows the largest field downwards as long as it alone makes up most of what is there. */
function largestPart(value: unknown, path = 'header', bytes = 0): readonly [string, number] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path, bytes]
  let largest: readonly [string, unknown, number] | undefined
  for (const [name, field] of Object.entries(value)) {
    const size = Buffer.byteLength(JSON.stringify(field) ?? '')
    if (largest === undefined || size > largest[2]) largest = [name, field, size]
  }
  if (largest === undefined || largest[2] < bytes / 2) return [path, bytes]
  const [name, field, size] = largest
  return largestPart(field, path === 'header' ? name : `${path}.${name}`, size)
}
