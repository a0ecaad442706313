import { AppError } from '#shared/errors/app-error.ts'

export const iscsiPort = 3260

export interface Portal {
  /** Without brackets: "127.0.0.1", "::1", "array1". */
  readonly host: string
  readonly port: number
}

/**
 * "host", "host:port", "[::1]:port", each with or without ",portal group" (RFC 7143, section 13.8). Throws bad-request.
 * @param leastPort 0: the portal is to listen, on any port that is free
 */
export function parsePortal(text: string, leastPort: 0 | 1 = 1): Portal {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?(?:,\d{1,5})?$/.exec(text)
  const port = match?.[3] === undefined ? iscsiPort : Number(match[3])
  const host = match?.[1] ?? match?.[2]
  if (host === undefined || port < leastPort || port > 65_535)
    throw new AppError('bad-request', `"${text.slice(0, 80)}" is not the address of a portal`, {
      advice: 'Write it as host:port or [address]:port.',
    })
  return { host, port }
}

export const formatPortal = ({ host, port }: Portal): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
