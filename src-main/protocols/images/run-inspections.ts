import type { ByteRange, ImageFacts, Inspection } from './image-facts.ts'

/** Ranges wanted of the image at `index` of the list. */
export interface WantedRanges {
  readonly index: number
  readonly ranges: readonly ByteRange[]
}

/**
 * Answers all inspections together: `read` is asked for everything that they want at this point, so that files on a
 * host cost one round trip for each level of their headers and not for each file. It returns bytes in the given order.
 */
export async function runInspections(
  inspections: readonly Inspection[],
  read: (wanted: readonly WantedRanges[]) => Promise<readonly (readonly Uint8Array[])[]>,
): Promise<ImageFacts[]> {
  const steps = inspections.map((inspection) => inspection.next())
  for (;;) {
    const wanted = steps.flatMap((step, index) => (step.done === true ? [] : [{ index, ranges: step.value }]))
    if (wanted.length === 0) break
    const answers = await read(wanted)
    for (const [position, { index }] of wanted.entries()) {
      const next = inspections[index]?.next(answers[position] ?? [])
      if (next !== undefined) steps[index] = next
    }
  }
  return steps.flatMap((step) => (step.done === true ? [step.value] : []))
}
