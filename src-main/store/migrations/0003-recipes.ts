import type { Migration } from '../migrate.ts'

/** What brings a deployment up again on its host. NULL: deployed before this was kept. */
export const recipesMigration: Migration = {
  version: 3,
  up: 'ALTER TABLE deployments ADD COLUMN recipe TEXT CHECK (json_valid(recipe));',
}
