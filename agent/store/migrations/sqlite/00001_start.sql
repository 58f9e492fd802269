-- +goose Up
CREATE TABLE event (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  digest          BLOB    NOT NULL UNIQUE,
  idempotency_key TEXT    NOT NULL,
  kind            TEXT    NOT NULL,
  instance        TEXT    NOT NULL,
  project         TEXT    NOT NULL,
  project_id      INTEGER NOT NULL,
  ref             TEXT    NOT NULL,
  sha             TEXT    NOT NULL,
  received_at     INTEGER NOT NULL,
  state           TEXT    NOT NULL,
  reason          TEXT    NOT NULL,
  trace_parent    TEXT    NOT NULL
) STRICT;
CREATE INDEX event_received ON event (id) WHERE state = 'received';

CREATE TABLE event_body (
  id   INTEGER PRIMARY KEY,
  body BLOB    NOT NULL
) STRICT;

CREATE TABLE delivery (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  event         INTEGER NOT NULL,
  work_key      TEXT    NOT NULL,
  target        TEXT    NOT NULL,
  project       TEXT    NOT NULL,
  project_id    INTEGER NOT NULL,
  ref           TEXT    NOT NULL,
  sha           TEXT    NOT NULL,
  merge_request INTEGER NOT NULL,
  state         TEXT    NOT NULL,
  attempts      INTEGER NOT NULL,
  error         TEXT    NOT NULL,
  payload       BLOB,
  result        BLOB,
  created_at    INTEGER NOT NULL,
  started_at    INTEGER NOT NULL,
  ended_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX delivery_event ON delivery (event);
CREATE INDEX delivery_open ON delivery (work_key, id) WHERE state IN ('waiting', 'running', 'retry');
CREATE INDEX delivery_lost ON delivery (work_key, id) WHERE state IN ('failed', 'dead');

CREATE TABLE work (
  key        TEXT    NOT NULL PRIMARY KEY,
  lane       TEXT    NOT NULL,
  project    TEXT    NOT NULL,
  wanted     INTEGER NOT NULL,
  taken      INTEGER NOT NULL,
  done       INTEGER NOT NULL,
  asked      INTEGER NOT NULL,
  seen       INTEGER NOT NULL,
  state      TEXT    NOT NULL,
  not_before INTEGER NOT NULL,
  held       INTEGER NOT NULL,
  first_at   INTEGER NOT NULL,
  lease      INTEGER NOT NULL,
  owner      TEXT    NOT NULL,
  fence      INTEGER NOT NULL,
  attempts   INTEGER NOT NULL,
  error      TEXT    NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX work_ready ON work (lane, first_at, key) WHERE state = 'ready';
CREATE INDEX work_later ON work (not_before) WHERE state = 'later';
CREATE INDEX work_running ON work (lane) WHERE state = 'running';
CREATE INDEX work_dead ON work (updated_at) WHERE state = 'dead';

CREATE TABLE firing (
  name     TEXT    NOT NULL,
  slot     INTEGER NOT NULL,
  fired_at INTEGER NOT NULL,
  PRIMARY KEY (name, slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE secret (
  name       TEXT    NOT NULL PRIMARY KEY,
  value      BLOB    NOT NULL,
  changed_at INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE secret;
DROP TABLE firing;
DROP TABLE work;
DROP TABLE delivery;
DROP TABLE event_body;
DROP TABLE event;
