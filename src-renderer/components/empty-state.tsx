import styles from './empty-state.module.css'

/** Says what is not there yet, and the command that makes the first one. */
export function EmptyState({ text, command }: { text: string; command?: string }) {
  return (
    <div className={styles.empty}>
      <p>{text}</p>
      {command === undefined ? null : <code className={styles.command}>{command}</code>}
    </div>
  )
}
