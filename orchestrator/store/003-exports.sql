-- A task of a new kind: export (a file for an appliance without a network). SQLite changes no CHECK in place.

CREATE TABLE task_next (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('tunnel-close','plan','export')),
  target TEXT NOT NULL,
  argument TEXT NOT NULL DEFAULT '',
  requested_by TEXT NOT NULL,
  requested INTEGER NOT NULL,
  done INTEGER,
  result TEXT NOT NULL DEFAULT ''     -- JSON
) STRICT;
INSERT INTO task_next SELECT id, kind, target, argument, requested_by, requested, done, result FROM task;
DROP TABLE task;
ALTER TABLE task_next RENAME TO task;
