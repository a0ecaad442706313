/** Where a step is killed while it is applied, and while it is undone; see src-main/jobs/fail-points.ts. */
export const applyPoints = ['after-intent', 'after-apply', 'after-done'] as const
export const undoPoints = ['before-undo', 'after-undo'] as const

export const kinds = ['stage', 'deploy', 'decommission'] as const
export type Kind = (typeof kinds)[number]

const listOf = (text: string): string[] => text.trim().split(/\s+/)

/**
 * The steps of the jobs that the matrix runs, written down so that the tests have names before there is a lab; that
 * they are the steps of the plans is a test of its own.
 */
export const stepsOf: Record<Kind, readonly string[]> = {
  stage: listOf(`
    create-container create-lun attach prepare mount copy send-configuration
    sync verify write-header unmount detach unmap-lun destroy-lun record`),
  deploy: listOf('snapshot clone create-lun attach define start wait record'),
  decommission: listOf(`
    stop undefine unmount detach unmap-lun destroy-lun delete-clone delete-snapshot record`),
}

/** Those of them that have an undo. */
export const undoableOf: Record<Kind, readonly string[]> = {
  stage: listOf('create-container create-lun attach mount record'),
  deploy: listOf('snapshot clone create-lun attach define start record'),
  decommission: [],
}

/** "stage/mount/after-apply" for every step and point of a kind. */
export const applyPointsOf = (kind: Kind): string[] =>
  stepsOf[kind].flatMap((step) => applyPoints.map((point) => `${kind}/${step}/${point}`))

export interface UndoCase {
  readonly point: string
  /** The step that fails, "stage/write-header", so that the job undoes itself and meets the point. */
  readonly failing: string
}

/**
 * A staging fails while its LUN is still online, as there is most to undo then; what comes after that is undone when
 * the last step fails.
 */
export const undoCasesOf = (kind: Kind): UndoCase[] =>
  undoableOf[kind].flatMap((step) =>
    undoPoints.map((point) => ({
      point: `${kind}/${step}/${point}`,
      failing: kind === 'stage' && step !== 'record' ? 'stage/write-header' : `${kind}/record`,
    })),
  )

export const undoPointsOfSingleStep = (step: string): UndoCase[] =>
  undoPoints.map((point) => ({ point: `single-step/${step}/${point}`, failing: `single-step/${step}` }))
