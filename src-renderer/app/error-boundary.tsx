import { Component } from 'react'
import type { ReactNode } from 'react'
import { encodeFault } from '../api/fault.ts'
import { ErrorNotice } from '../components/error-notice.tsx'
import type { WireError } from '#shared/errors/wire-error.ts'

/** The last resort: a fault in the page is shown instead of an empty window. Jobs go on in the main process. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { error: WireError | undefined }> {
  override state = { error: undefined }

  static getDerivedStateFromError(error: unknown): { error: WireError } {
    return { error: encodeFault(error) }
  }

  override render(): ReactNode {
    const { error } = this.state
    if (error === undefined) return this.props.children
    return <ErrorNotice error={error} retryLabel="Load the page again" onRetry={() => location.reload()} />
  }
}
