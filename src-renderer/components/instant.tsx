const format = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })

export const formatInstant = (instant: string): string => format.format(new Date(instant))

/** A point in time in the reader's own time zone. */
export function Instant({ at }: { at: string }) {
  return <time dateTime={at}>{formatInstant(at)}</time>
}
