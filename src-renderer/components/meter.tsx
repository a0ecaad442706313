import styles from './meter.module.css'

export interface MeterProps {
  /** What is measured, for people who do not see the bar: "Used of vol1". */
  readonly label: string
  readonly value: number
  readonly max: number
  /** In words, also shown: "620 GiB", "16 of 16, full". */
  readonly text: string
  /** Share from which the bar warns. */
  readonly warnFrom: number
}

/** How full something is: the words, and a bar for the eye. Colour only repeats what the words say. */
export function Meter({ label, value, max, text, warnFrom }: MeterProps) {
  const share = max <= 0 ? 0 : Math.min(1, value / max)
  return (
    <span className={styles.meter}>
      <span
        className={styles.track}
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(share * 100)}
        aria-valuetext={text}
      >
        <span
          className={styles.fill}
          data-warns={share >= warnFrom}
          style={{ inlineSize: `${share * 100}%` }}
        />
      </span>
      <span className={styles.text}>{text}</span>
    </span>
  )
}
