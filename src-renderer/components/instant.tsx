const parts = { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' } as const
const thisYear = new Intl.DateTimeFormat(undefined, parts)
const otherYear = new Intl.DateTimeFormat(undefined, { ...parts, year: 'numeric' })

/** In the reader's own time zone; the year only where it is not this one. */
export function formatInstant(instant: string): string {
  const date = new Date(instant)
  return (date.getFullYear() === new Date().getFullYear() ? thisYear : otherYear).format(date)
}

export function Instant({ at }: { at: string }) {
  return <time dateTime={at}>{formatInstant(at)}</time>
}
