import { InventoryView } from '../features/inventory/inventory-view.tsx'
import { JobsView } from '../features/jobs/jobs-view.tsx'
import { ErrorBoundary } from './error-boundary.tsx'
import { HeaderSummary } from './header-summary.tsx'
import styles from './app.module.css'

export function App() {
  return (
    <ErrorBoundary>
      <header className={styles.header}>
        <h1 className={styles.name}>Gantry</h1>
        <HeaderSummary className={styles.summary} />
      </header>
      <main className={styles.page}>
        <InventoryView />
        <JobsView className={styles.jobs} />
      </main>
    </ErrorBoundary>
  )
}
