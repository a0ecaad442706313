import type { Migration } from '../migrate.ts'

/** Which call of which device a fact is from; volumes, containers and VMs have it in their documents. */
export const learntHowMigration: Migration = {
  version: 4,
  up: `
    ALTER TABLE arrays ADD COLUMN learnt_how TEXT;
    ALTER TABLE hosts ADD COLUMN learnt_how TEXT;
    ALTER TABLE templates ADD COLUMN learnt_how TEXT;
  `,
}
