import type { ArrayConfig } from './storage.ts'

/** For people: where an array is. Apart from the schemas, which the page does without. */
export const placeOfArray = (config: ArrayConfig): string =>
  config.driver === 'embedded' ? 'this computer, no storage hardware' : config.connection.host
