import type { ReactNode } from 'react'
import styles from './button.module.css'

export interface ButtonProps {
  readonly children: ReactNode
  /** Begins with the visible words and adds what they are about. */
  readonly label?: string
  readonly disabled?: boolean
  readonly onPress: () => void
}

export function Button({ children, label, disabled = false, onPress }: ButtonProps) {
  return (
    <button type="button" className={styles.button} aria-label={label} disabled={disabled} onClick={onPress}>
      {children}
    </button>
  )
}
