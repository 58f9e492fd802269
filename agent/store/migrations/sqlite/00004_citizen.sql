-- +goose Up
CREATE TABLE id_token (
  instance   TEXT    NOT NULL,
  token_id   TEXT    NOT NULL,
  job        INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (instance, token_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX id_token_expires ON id_token (expires_at);

CREATE TABLE hook (
  instance   TEXT    NOT NULL,
  kind       TEXT    NOT NULL,
  scope      INTEGER NOT NULL,
  path       TEXT    NOT NULL,
  token      TEXT    NOT NULL,
  hook       INTEGER NOT NULL,
  url        TEXT    NOT NULL,
  events     TEXT    NOT NULL,
  secret     TEXT    NOT NULL,
  state      TEXT    NOT NULL,
  error      TEXT    NOT NULL,
  seen       INTEGER NOT NULL,
  checked_at INTEGER NOT NULL,
  PRIMARY KEY (instance, kind, scope)
) STRICT, WITHOUT ROWID;

CREATE TABLE allowed (
  project       TEXT    NOT NULL,
  merge_request INTEGER NOT NULL,
  sha           TEXT    NOT NULL,
  user_id       INTEGER NOT NULL,
  user_name     TEXT    NOT NULL,
  allowed_at    INTEGER NOT NULL,
  PRIMARY KEY (project, merge_request, sha)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  at       INTEGER NOT NULL,
  token    TEXT    NOT NULL,
  instance TEXT    NOT NULL,
  method   TEXT    NOT NULL,
  route    TEXT    NOT NULL,
  status   INTEGER NOT NULL,
  took     INTEGER NOT NULL,
  error    TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at);

CREATE TABLE budget (
  token TEXT    NOT NULL PRIMARY KEY,
  tat   INTEGER NOT NULL,
  until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE token_state (
  name        TEXT    NOT NULL PRIMARY KEY,
  fingerprint TEXT    NOT NULL,
  state       TEXT    NOT NULL,
  expires_at  INTEGER NOT NULL,
  rotated_at  INTEGER NOT NULL,
  checked_at  INTEGER NOT NULL,
  error       TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE token_state;
DROP TABLE budget;
DROP TABLE audit;
DROP TABLE allowed;
DROP TABLE hook;
DROP TABLE id_token;
