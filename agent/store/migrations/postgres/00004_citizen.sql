-- +goose Up
CREATE TABLE id_token (
  instance   TEXT    NOT NULL,
  token_id   TEXT    NOT NULL,
  job        BIGINT  NOT NULL,
  expires_at BIGINT  NOT NULL,
  PRIMARY KEY (instance, token_id)
);
CREATE INDEX id_token_expires ON id_token (expires_at);

CREATE TABLE hook (
  instance   TEXT    NOT NULL,
  kind       TEXT    NOT NULL,
  scope      BIGINT  NOT NULL,
  path       TEXT    NOT NULL,
  token      TEXT    NOT NULL,
  hook       BIGINT  NOT NULL,
  url        TEXT    NOT NULL,
  events     TEXT    NOT NULL,
  secret     TEXT    NOT NULL,
  state      TEXT    NOT NULL,
  error      TEXT    NOT NULL,
  seen       BIGINT  NOT NULL,
  checked_at BIGINT  NOT NULL,
  PRIMARY KEY (instance, kind, scope)
);

CREATE TABLE allowed (
  project       TEXT    NOT NULL,
  merge_request BIGINT  NOT NULL,
  sha           TEXT    NOT NULL,
  user_id       BIGINT  NOT NULL,
  user_name     TEXT    NOT NULL,
  allowed_at    BIGINT  NOT NULL,
  PRIMARY KEY (project, merge_request, sha)
);

CREATE TABLE audit (
  id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at       BIGINT  NOT NULL,
  token    TEXT    NOT NULL,
  instance TEXT    NOT NULL,
  method   TEXT    NOT NULL,
  route    TEXT    NOT NULL,
  status   BIGINT  NOT NULL,
  took     BIGINT  NOT NULL,
  error    TEXT    NOT NULL
);
CREATE INDEX audit_at ON audit (at);

CREATE TABLE budget (
  token TEXT    NOT NULL PRIMARY KEY,
  tat   BIGINT  NOT NULL,
  until BIGINT  NOT NULL
);

CREATE TABLE token_state (
  name        TEXT    NOT NULL PRIMARY KEY,
  fingerprint TEXT    NOT NULL,
  state       TEXT    NOT NULL,
  expires_at  BIGINT  NOT NULL,
  rotated_at  BIGINT  NOT NULL,
  checked_at  BIGINT  NOT NULL,
  error       TEXT    NOT NULL
);

-- +goose Down
DROP TABLE token_state;
DROP TABLE budget;
DROP TABLE audit;
DROP TABLE allowed;
DROP TABLE hook;
DROP TABLE id_token;
