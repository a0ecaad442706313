/** Worldwide names first, then those that a vendor or an administrator gives. */
const kinds = ['naa.', 'eui.', 'uuid.', 'iqn.', 't10.'] as const

/** NAA 3 is given locally (SPC-4, 7.8.6.6.4): another array may use it too, and some change it with each start. */
const isLocal = (name: string): boolean => name.startsWith('naa.3')

/**
 * The names of a LUN that tell it from every other one, the best first, in the form that unit headers have them.
 * @param names of VPD page 83h, of the LUN and not of its port or device, as formatDesignator prints them
 */
export function lunIdentities(names: readonly string[]): string[] {
  const known = names.map((name) => (/^(naa|eui)\./i.test(name) ? name.toLowerCase() : name))
  return [
    ...new Set(
      kinds.flatMap((kind) => known.filter((name) => name.startsWith(kind) && !isLocal(name)).toSorted()),
    ),
  ]
}
