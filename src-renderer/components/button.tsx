import type { ReactNode } from 'react'
import styles from './button.module.css'

export interface ButtonProps {
  readonly children: ReactNode
  /** Begins with the visible words and adds what they are about. */
  readonly label?: string
  readonly disabled?: boolean
  /** What it shows and hides: the id of the element, and whether it is there. */
  readonly expands?: { readonly id: string; readonly isExpanded: boolean }
  readonly onPress: () => void
}

export function Button({ children, label, disabled = false, expands, onPress }: ButtonProps) {
  return (
    <button
      type="button"
      className={styles.button}
      aria-label={label}
      aria-expanded={expands?.isExpanded}
      aria-controls={expands?.isExpanded === true ? expands.id : undefined}
      disabled={disabled}
      onClick={onPress}
    >
      {children}
    </button>
  )
}
