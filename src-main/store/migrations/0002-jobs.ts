import type { Migration } from '../migrate.ts'

/** The journal. A row of job_resources is there exactly as long as its job is open; jobs are never deleted. */
export const jobsMigration: Migration = {
  version: 2,
  up: `
    CREATE TABLE jobs (
      id TEXT PRIMARY KEY,
      kind TEXT NOT NULL,
      title TEXT NOT NULL,
      after_restart TEXT NOT NULL CHECK (after_restart IN ('resume', 'undo')),
      plan TEXT NOT NULL CHECK (json_valid(plan)),
      state TEXT NOT NULL CHECK (
        state IN ('running', 'done', 'undoing', 'undone', 'interrupted', 'needs-operator', 'closed')
      ),
      cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
      error TEXT CHECK (json_valid(error)),
      progress TEXT NOT NULL CHECK (json_valid(progress)),
      owner_pid INTEGER NOT NULL,
      owner_started_at TEXT NOT NULL,
      created_at TEXT NOT NULL,
      updated_at TEXT NOT NULL
    ) STRICT;
    CREATE INDEX jobs_open ON jobs (id) WHERE state NOT IN ('done', 'undone', 'closed');

    CREATE TABLE job_steps (
      job_id TEXT NOT NULL REFERENCES jobs (id),
      position INTEGER NOT NULL,
      step_id TEXT NOT NULL,
      title TEXT NOT NULL,
      target TEXT NOT NULL,
      commands TEXT NOT NULL CHECK (json_valid(commands)),
      undo_commands TEXT NOT NULL CHECK (json_valid(undo_commands)),
      state TEXT NOT NULL DEFAULT 'planned' CHECK (
        state IN ('planned', 'applying', 'done', 'undoing', 'undone', 'failed')
      ),
      result TEXT CHECK (json_valid(result)),
      started_at TEXT,
      ended_at TEXT,
      PRIMARY KEY (job_id, position),
      UNIQUE (job_id, step_id)
    ) STRICT;

    CREATE TABLE job_resources (
      resource TEXT NOT NULL,
      job_id TEXT NOT NULL REFERENCES jobs (id)
    ) STRICT;
    CREATE UNIQUE INDEX job_resources_one_open_job ON job_resources (resource);
    CREATE INDEX job_resources_by_job ON job_resources (job_id);

    CREATE TABLE job_log (
      job_id TEXT NOT NULL REFERENCES jobs (id),
      seq INTEGER NOT NULL,
      at TEXT NOT NULL,
      step_id TEXT,
      text TEXT NOT NULL,
      PRIMARY KEY (job_id, seq)
    ) STRICT;
  `,
}
