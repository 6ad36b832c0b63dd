-- The store's first shape. Times are UTC seconds; dates are text YYYY-MM-DD; names are the contract's own.

CREATE TABLE technician (
  name TEXT PRIMARY KEY,
  login TEXT NOT NULL,                -- unix user at the API's socket
  public_key TEXT NOT NULL DEFAULT '',-- OpenSSH line
  role TEXT NOT NULL CHECK (role IN ('admin','accounts','technician','approver','auditor')),
  token_hash BLOB,                    -- BLAKE2b-256 of the token for TLS callers
  added INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX technician_login ON technician (login);

CREATE TABLE customer (name TEXT PRIMARY KEY, added INTEGER NOT NULL) STRICT;
CREATE TABLE contact (
  customer TEXT NOT NULL REFERENCES customer (name),
  name TEXT NOT NULL, email TEXT NOT NULL,
  PRIMARY KEY (customer, email)
) STRICT;

CREATE TABLE contract (
  id TEXT PRIMARY KEY,
  customer TEXT NOT NULL REFERENCES customer (name),
  kind TEXT NOT NULL CHECK (kind IN ('on-premise','cloud')),
  tier TEXT NOT NULL,
  support_until TEXT NOT NULL,        -- inclusive, in `zone`
  zone TEXT NOT NULL,
  ends INTEGER NOT NULL,              -- first instant after support_until
  users INTEGER NOT NULL,
  added INTEGER NOT NULL
) STRICT;

CREATE TABLE appliance (
  name TEXT PRIMARY KEY,
  contract TEXT NOT NULL REFERENCES contract (id),
  product TEXT NOT NULL,
  channel TEXT NOT NULL DEFAULT 'stable',
  ha_group TEXT,
  tags TEXT NOT NULL DEFAULT '',      -- comma separated
  added INTEGER NOT NULL,
  revoked INTEGER,
  public_key BLOB,                    -- ed25519, after join
  key_id TEXT,
  fence INTEGER NOT NULL DEFAULT 0,   -- the highest given out or reported
  generation INTEGER NOT NULL DEFAULT 0,
  duplicate INTEGER NOT NULL DEFAULT 0,
  version TEXT NOT NULL DEFAULT '',   -- what HELLO said it runs
  hook_state TEXT NOT NULL DEFAULT '',-- the hook's own state word
  hook_upgrade TEXT NOT NULL DEFAULT '',
  last_seen INTEGER,
  skew INTEGER NOT NULL DEFAULT 0     -- its clock minus ours, seconds
) STRICT;
CREATE UNIQUE INDEX appliance_key ON appliance (public_key) WHERE public_key IS NOT NULL;

CREATE TABLE join_code (
  public_key BLOB PRIMARY KEY,        -- of the one-time key
  appliance TEXT NOT NULL REFERENCES appliance (name),
  expires INTEGER NOT NULL,
  used INTEGER
) STRICT;

CREATE TABLE release (
  product TEXT NOT NULL, version TEXT NOT NULL,
  target TEXT NOT NULL, sha256 BLOB NOT NULL, length INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  published INTEGER NOT NULL,
  security INTEGER NOT NULL, stop INTEGER NOT NULL,
  min_from TEXT NOT NULL,
  channels TEXT NOT NULL,             -- comma separated
  yanked INTEGER NOT NULL, yank_reason TEXT NOT NULL,
  halted INTEGER NOT NULL DEFAULT 0, halt_reason TEXT NOT NULL DEFAULT '',
  need INTEGER NOT NULL,              -- declared seconds: apply and rollback
  bytes INTEGER NOT NULL,             -- stored bytes of its blobs
  imported INTEGER NOT NULL,
  PRIMARY KEY (product, version)
) STRICT;

CREATE TABLE import (
  id INTEGER PRIMARY KEY,
  directory TEXT NOT NULL,
  requested_by TEXT NOT NULL,
  requested INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('requested','running','done','refused')),
  code INTEGER NOT NULL DEFAULT 0,    -- exit code of a refusal
  detail TEXT NOT NULL DEFAULT ''     -- sentence, or JSON list of releases
) STRICT;

CREATE TABLE target_window (          -- INI text of an appliance's or a customer's windows
  scope TEXT NOT NULL CHECK (scope IN ('appliance','customer')),
  name TEXT NOT NULL,
  ini TEXT NOT NULL,
  tzdata TEXT NOT NULL,
  changed INTEGER NOT NULL, changed_by TEXT NOT NULL, requester TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (scope, name)
) STRICT;

CREATE TABLE freeze (
  name TEXT PRIMARY KEY,
  scope TEXT NOT NULL,                -- vendor, customer:NAME, tag:NAME
  ini TEXT NOT NULL,
  added INTEGER NOT NULL, added_by TEXT NOT NULL
) STRICT;

CREATE TABLE upgrade (
  id TEXT PRIMARY KEY,                -- random, so that a restored store never reuses one
  appliance TEXT NOT NULL REFERENCES appliance (name),
  action TEXT NOT NULL CHECK (action IN ('upgrade','rollback')),
  product TEXT NOT NULL,
  from_version TEXT NOT NULL, to_version TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('requested','booked','staging','staged','due','running','committed','rolled-back',
    'needs-human','held','missed','cancelled','unknown')),
  held_for TEXT NOT NULL DEFAULT '',  -- entitlement, freeze, ha-group, rollout, halt, tunnel, paused
  held_from TEXT NOT NULL DEFAULT '', -- the state to go back to
  needs TEXT NOT NULL DEFAULT '',     -- whose approval: approver, customer
  why TEXT NOT NULL DEFAULT '',       -- one sentence: why it is not running, or what came of it
  requested_by TEXT NOT NULL, approved_by TEXT NOT NULL DEFAULT '',
  window_name TEXT NOT NULL, zone TEXT NOT NULL, local_start TEXT NOT NULL, tzdata TEXT NOT NULL,
  code INTEGER NOT NULL DEFAULT 0,    -- exit code that goes with `why`
  fixed INTEGER NOT NULL DEFAULT 0,   -- booked with --at
  hold_when_missed INTEGER NOT NULL DEFAULT 0,
  starts INTEGER NOT NULL, ends INTEGER NOT NULL, last_start INTEGER NOT NULL,
  finish_overrun INTEGER NOT NULL DEFAULT 0,
  ha_group TEXT,
  fence INTEGER NOT NULL DEFAULT 0,
  owner TEXT NOT NULL DEFAULT '',     -- engine instance that holds the lease
  lease_until INTEGER NOT NULL DEFAULT 0,
  blobs INTEGER NOT NULL DEFAULT 0, blobs_done INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0, bytes_done INTEGER NOT NULL DEFAULT 0,
  step TEXT NOT NULL DEFAULT '',      -- the hook's own state word while running
  abort INTEGER NOT NULL DEFAULT 0,   -- someone asked
  retry_at INTEGER NOT NULL DEFAULT 0,
  created INTEGER NOT NULL, changed INTEGER NOT NULL
) STRICT;
-- One unfinished upgrade an appliance; one running node an HA group, whatever becomes of the lease. An upgrade that was never
-- claimed (fence 0) has touched nothing and holds no slot.
CREATE UNIQUE INDEX upgrade_one ON upgrade (appliance)
  WHERE state NOT IN ('committed','rolled-back','cancelled','missed');
CREATE UNIQUE INDEX upgrade_ha ON upgrade (ha_group)
  WHERE ha_group IS NOT NULL AND fence > 0 AND state IN ('running','unknown','needs-human');

CREATE TABLE upgrade_event (          -- append-only history, in the transaction of the change
  upgrade TEXT NOT NULL REFERENCES upgrade (id),
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,                -- technician:NAME, engine, hook
  from_state TEXT NOT NULL, to_state TEXT NOT NULL,
  fence INTEGER NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (upgrade, seq)
) STRICT;

CREATE TABLE receipt (
  upgrade TEXT PRIMARY KEY,
  appliance TEXT NOT NULL,
  document TEXT NOT NULL,             -- the signed envelope as it came
  received INTEGER NOT NULL
) STRICT;

CREATE TABLE tunnel (                 -- who is connected; emptied when the engine starts
  appliance TEXT PRIMARY KEY REFERENCES appliance (name),
  since INTEGER NOT NULL,
  address TEXT NOT NULL,
  transport TEXT NOT NULL,            -- call-home, forward
  scope TEXT NOT NULL,
  until INTEGER NOT NULL,             -- 0: permanent
  last_seen INTEGER NOT NULL
) STRICT;

CREATE TABLE task (                   -- what the API asks the engine to do that is not a change of an upgrade
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('tunnel-close','plan')),
  target TEXT NOT NULL,
  argument TEXT NOT NULL DEFAULT '',
  requested_by TEXT NOT NULL,
  requested INTEGER NOT NULL,
  done INTEGER,
  result TEXT NOT NULL DEFAULT ''     -- JSON
) STRICT;

CREATE TABLE audit (                  -- a hash chain: hash = BLAKE2b-256 over seq, previous, at and the texts, each with its length
  seq INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL, action TEXT NOT NULL, object TEXT NOT NULL, detail TEXT NOT NULL,
  previous BLOB NOT NULL, hash BLOB NOT NULL
) STRICT;
