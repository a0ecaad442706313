import { describeError } from '#shared/errors/user-text.ts'
import type { WireError } from '#shared/errors/wire-error.ts'
import { Button } from './button.tsx'
import styles from './error-notice.module.css'

export interface ErrorNoticeProps {
  readonly error: WireError
  /** `alarm`: something must be done now, and it is spoken. `report`: what is wrong with an entry. `past`: it is over. */
  readonly tone?: 'alarm' | 'report' | 'past'
  readonly retryLabel?: string
  readonly onRetry?: () => void
}

/** What happened, on what, in the device's words, and what to do. */
export function ErrorNotice({ error, tone = 'alarm', retryLabel = 'Try again', onRetry }: ErrorNoticeProps) {
  const [what, ...more] = describeError(error)
  return (
    <div className={styles.notice} data-tone={tone} role={tone === 'alarm' ? 'alert' : undefined}>
      <p className={styles.what}>{what}</p>
      {more.map((line) => (
        <p key={line}>{line}</p>
      ))}
      {onRetry === undefined ? null : (
        <div className={styles.actions}>
          <Button onPress={onRetry}>{retryLabel}</Button>
        </div>
      )}
    </div>
  )
}
