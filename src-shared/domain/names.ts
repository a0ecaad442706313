import { z } from 'zod'

/**
 * Names that become file, target and domain names on devices. Letters, digits, dot, hyphen and underscore of
 * ASCII, beginning with a letter or digit, at most 63: what every array, hypervisor and iSCSI name (RFC 3722)
 * accepts, so that one name serves everywhere.
 */
export const nameSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
    'use 1 to 63 letters, digits, ".", "-" or "_", beginning with a letter or digit',
  )

/** RFC 7143 section 4.2.7: iqn., eui. or naa. names; at most 223 bytes. */
export const initiatorNameSchema = z
  .string()
  .max(223)
  .regex(
    /^(iqn\.\d{4}-\d{2}\.[a-z0-9.-]+(:[a-z0-9.:_-]+)?|eui\.[0-9a-f]{16}|naa\.[0-9a-f]{16}([0-9a-f]{16})?)$/,
  )

export const uuidSchema = z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)

/** An absolute POSIX path without "." and ".." parts, NUL or line breaks. */
export const remotePathSchema = z
  .string()
  .max(4096)
  // eslint-disable-next-line no-control-regex
  .regex(/^\/[^\u0000\n\r]*$/, 'use an absolute path')
  .refine(
    (path) => !path.split('/').some((part) => part === '.' || part === '..'),
    'use a path without "." and ".."',
  )

/** An absolute path of this computer, POSIX or Windows, without "." and ".." parts, NUL or line breaks. */
export const localPathSchema = z
  .string()
  .max(4096)
  // eslint-disable-next-line no-control-regex
  .regex(/^(\/|[A-Za-z]:[\\/]|\\\\)[^\u0000\n\r]*$/, 'use an absolute path')
  .refine(
    (path) => !path.split(/[\\/]/).some((part) => part === '.' || part === '..'),
    'use a path without "." and ".."',
  )

export const instantSchema = z.iso.datetime()

/**
 * Which call of which device a fact is from, beside when it was learnt: "array san1: listVolumes". Absent in what an
 * older version has recorded.
 */
export const learntHowSchema = z.string().max(300).optional()
