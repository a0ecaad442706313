import { useId } from 'react'
import type { ReactNode } from 'react'
import styles from './panel.module.css'

/** A titled part of the page. `note` stands beside the title: a count, an age. */
export function Panel({ title, note, children }: { title: string; note?: string; children: ReactNode }) {
  const id = useId()
  return (
    <section className={styles.panel} aria-labelledby={id}>
      <div className={styles.head}>
        <h2 id={id} className={styles.title}>
          {title}
        </h2>
        {note === undefined ? null : <span className={styles.note}>{note}</span>}
      </div>
      {children}
    </section>
  )
}
