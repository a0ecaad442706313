import { useId, useLayoutEffect, useRef } from 'react'
import { Button } from './button.tsx'
import styles from './confirm-dialog.module.css'

export interface ConfirmDialogProps {
  readonly title: string
  readonly text: string
  readonly confirmLabel: string
  readonly onConfirm: () => void
  readonly onDismiss: () => void
}

/** Modal while it is mounted. Escape dismisses; the focus goes back to where it was. */
export function ConfirmDialog({ title, text, confirmLabel, onConfirm, onDismiss }: ConfirmDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  const id = useId()
  // a layout effect: its end runs while the dialog is still in the document, and closing it there gives the focus back
  useLayoutEffect(() => {
    const element = dialog.current
    element?.showModal()
    return () => element?.close()
  }, [])
  return (
    <dialog ref={dialog} className={styles.dialog} aria-labelledby={id} onCancel={onDismiss}>
      <h2 id={id} className={styles.title}>
        {title}
      </h2>
      <p>{text}</p>
      <div className={styles.actions}>
        <Button onPress={onDismiss}>Back</Button>
        <Button onPress={onConfirm}>{confirmLabel}</Button>
      </div>
    </dialog>
  )
}
