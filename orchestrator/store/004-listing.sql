-- A release that the newest signed list does not name any more (a thief's, after his key was rotated out) stays as
-- history, and is offered to nobody. How long the signed metadata still lives, so that people renew it in time.

ALTER TABLE release ADD COLUMN listed INTEGER NOT NULL DEFAULT 1;

CREATE TABLE lifetime (
  name TEXT PRIMARY KEY,              -- root, targets, snapshot, timestamp
  version INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  life INTEGER NOT NULL               -- seconds that a new one lives
) STRICT;
