/** Where a step is killed while it is applied, and while it is undone; see src-main/jobs/fail-points.ts. */
export const applyPoints = ['after-intent', 'after-apply', 'after-done'] as const
export const undoPoints = ['before-undo', 'after-undo'] as const

export const kinds = ['stage', 'deploy', 'decommission', 'export'] as const
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
  export: listOf(`
    make-folder snapshot create-lun attach receive-0 describe
    unmount detach unmap-lun destroy-lun delete-snapshot publish`),
}

/** Those of them that have an undo. */
export const undoableOf: Record<Kind, readonly string[]> = {
  stage: listOf('create-container create-lun attach mount record'),
  deploy: listOf('snapshot clone create-lun attach define start record'),
  decommission: [],
  export: listOf('make-folder snapshot create-lun attach publish'),
}

/** "stage/mount/after-apply" for every step and point of a kind. */
export const applyPointsOf = (kind: Kind): string[] =>
  stepsOf[kind].flatMap((step) => applyPoints.map((point) => `${kind}/${step}/${point}`))

export interface UndoCase {
  readonly point: string
  /** The step that fails, "stage/write-header", so that the job undoes itself and meets the point. */
  readonly failing: string
}

/** The step that fails so that the others are undone: for a LUN that is there for a while, one while it is online. */
const failingStep: Record<Kind, string | undefined> = {
  stage: 'write-header',
  deploy: undefined,
  decommission: undefined,
  export: 'describe',
}

/** What comes after that step is undone when the last one fails. */
export const undoCasesOf = (kind: Kind): UndoCase[] => {
  const last = stepsOf[kind].at(-1) ?? ''
  return undoableOf[kind].flatMap((step) =>
    undoPoints.map((point) => ({
      point: `${kind}/${step}/${point}`,
      failing: `${kind}/${step === last ? last : (failingStep[kind] ?? last)}`,
    })),
  )
}

export const undoPointsOfSingleStep = (step: string): UndoCase[] =>
  undoPoints.map((point) => ({ point: `single-step/${step}/${point}`, failing: `single-step/${step}` }))
