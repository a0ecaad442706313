import type { Journal } from '#main/jobs/journal.ts'

/** A journal whose process can be declared dead: from then on every call throws and reaches nothing. */
export interface MortalJournal {
  readonly wrap: (journal: Journal) => Journal
  readonly die: () => void
  readonly isDead: () => boolean
}

/** `onWrite` is called around every commit of a state, before and after it. */
export function makeMortal(onWrite: (moment: 'before' | 'after') => void = () => undefined): MortalJournal {
  let dead = false
  const states = new Set(['create', 'setJobState', 'setStepState', 'takeOver'])
  const live = (): void => {
    if (dead) throw new Error('this process is dead')
  }
  return {
    die() {
      dead = true
    },
    isDead: () => dead,
    wrap: (journal) =>
      new Proxy(journal, {
        get(target, name: keyof Journal) {
          const method = target[name] as (...args: unknown[]) => unknown
          return (...args: unknown[]): unknown => {
            live()
            if (!states.has(name)) return method(...args)
            onWrite('before')
            live()
            const value = method(...args)
            onWrite('after')
            live()
            return value
          }
        },
      }),
  }
}
