import type { Migration } from '../migrate.ts'

/**
 * What the console knows. Documents are JSON of the shapes in src-shared/domain; columns beside them are what is
 * searched, unique or referred to. RESTRICT (the default) keeps an array or host on which something of ours depends;
 * CASCADE takes along what is only a copy of what the device itself tells.
 */
export const inventoryMigration: Migration = {
  version: 1,
  up: `
    CREATE TABLE arrays (
      name TEXT PRIMARY KEY,
      config TEXT NOT NULL CHECK (json_valid(config)),
      identity TEXT CHECK (json_valid(identity)),
      learnt_at TEXT
    ) STRICT;

    CREATE TABLE volumes (
      array TEXT NOT NULL REFERENCES arrays (name) ON DELETE CASCADE,
      name TEXT NOT NULL,
      facts TEXT NOT NULL CHECK (json_valid(facts)),
      PRIMARY KEY (array, name)
    ) STRICT;

    CREATE TABLE hosts (
      name TEXT PRIMARY KEY,
      config TEXT NOT NULL CHECK (json_valid(config)),
      facts TEXT CHECK (json_valid(facts)),
      learnt_at TEXT
    ) STRICT;

    CREATE TABLE containers (
      array TEXT NOT NULL REFERENCES arrays (name),
      volume TEXT NOT NULL,
      name TEXT NOT NULL,
      unit_id TEXT,
      facts TEXT NOT NULL CHECK (json_valid(facts)),
      PRIMARY KEY (array, volume, name)
    ) STRICT;
    CREATE INDEX containers_by_unit ON containers (unit_id);

    CREATE TABLE luns (
      array TEXT NOT NULL REFERENCES arrays (name),
      name TEXT NOT NULL,
      target TEXT NOT NULL,
      lun INTEGER NOT NULL,
      serial TEXT NOT NULL UNIQUE,
      naa TEXT NOT NULL UNIQUE,
      facts TEXT NOT NULL CHECK (json_valid(facts)),
      PRIMARY KEY (array, name),
      UNIQUE (array, target, lun)
    ) STRICT;

    CREATE TABLE deployments (
      name TEXT PRIMARY KEY,
      host TEXT NOT NULL REFERENCES hosts (name),
      array TEXT NOT NULL REFERENCES arrays (name),
      volume TEXT NOT NULL,
      container TEXT NOT NULL,
      vm_uuid TEXT NOT NULL UNIQUE,
      facts TEXT NOT NULL CHECK (json_valid(facts))
    ) STRICT;
    CREATE INDEX deployments_by_host ON deployments (host);
    CREATE INDEX deployments_by_container ON deployments (array, volume, container);

    CREATE TABLE vms (
      host TEXT NOT NULL REFERENCES hosts (name) ON DELETE CASCADE,
      uuid TEXT NOT NULL,
      facts TEXT NOT NULL CHECK (json_valid(facts)),
      PRIMARY KEY (host, uuid)
    ) STRICT;

    CREATE TABLE templates (
      host TEXT NOT NULL REFERENCES hosts (name) ON DELETE CASCADE,
      source TEXT NOT NULL CHECK (json_valid(source)),
      name TEXT NOT NULL,
      summary TEXT NOT NULL CHECK (json_valid(summary)),
      learnt_at TEXT NOT NULL,
      PRIMARY KEY (host, source)
    ) STRICT;
  `,
}
