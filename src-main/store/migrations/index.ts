import type { Migration } from '../migrate.ts'
import { inventoryMigration } from './0001-inventory.ts'
import { jobsMigration } from './0002-jobs.ts'
import { recipesMigration } from './0003-recipes.ts'
import { learntHowMigration } from './0004-learnt-how.ts'

/** In ascending order of version; a released one is never changed. */
export const migrations: readonly Migration[] = [
  inventoryMigration,
  jobsMigration,
  recipesMigration,
  learntHowMigration,
]
