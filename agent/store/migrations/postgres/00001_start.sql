-- +goose Up
CREATE TABLE event (
  id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  digest          BYTEA   NOT NULL UNIQUE,
  idempotency_key TEXT    NOT NULL,
  kind            TEXT    NOT NULL,
  instance        TEXT    NOT NULL,
  project         TEXT    NOT NULL,
  project_id      BIGINT  NOT NULL,
  ref             TEXT    NOT NULL,
  sha             TEXT    NOT NULL,
  received_at     BIGINT  NOT NULL,
  state           TEXT    NOT NULL,
  reason          TEXT    NOT NULL,
  trace_parent    TEXT    NOT NULL
);
CREATE INDEX event_received ON event (id) WHERE state = 'received';

CREATE TABLE event_body (
  id   BIGINT  PRIMARY KEY,
  body BYTEA   NOT NULL
);

-- Bodies come compressed: a second try at it would cost time and gain nothing.
ALTER TABLE event_body ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE delivery (
  id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event         BIGINT  NOT NULL,
  work_key      TEXT COLLATE "C" NOT NULL,
  target        TEXT    NOT NULL,
  project       TEXT    NOT NULL,
  project_id    BIGINT  NOT NULL,
  ref           TEXT    NOT NULL,
  sha           TEXT    NOT NULL,
  merge_request BIGINT  NOT NULL,
  state         TEXT    NOT NULL,
  attempts      BIGINT  NOT NULL,
  error         TEXT    NOT NULL,
  payload       BYTEA,
  result        BYTEA,
  created_at    BIGINT  NOT NULL,
  started_at    BIGINT  NOT NULL,
  ended_at      BIGINT  NOT NULL
);
CREATE INDEX delivery_event ON delivery (event);
CREATE INDEX delivery_open ON delivery (work_key, id) WHERE state IN ('waiting', 'running', 'retry');
CREATE INDEX delivery_lost ON delivery (work_key, id) WHERE state IN ('failed', 'dead');

CREATE TABLE work (
  key        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  lane       TEXT COLLATE "C" NOT NULL,
  project    TEXT    NOT NULL,
  wanted     BIGINT  NOT NULL,
  taken      BIGINT  NOT NULL,
  done       BIGINT  NOT NULL,
  asked      BIGINT  NOT NULL,
  seen       BIGINT  NOT NULL,
  state      TEXT    NOT NULL,
  not_before BIGINT  NOT NULL,
  held       BIGINT  NOT NULL,
  first_at   BIGINT  NOT NULL,
  lease      BIGINT  NOT NULL,
  owner      TEXT    NOT NULL,
  fence      BIGINT  NOT NULL,
  attempts   BIGINT  NOT NULL,
  error      TEXT    NOT NULL,
  updated_at BIGINT  NOT NULL
);
CREATE INDEX work_ready ON work (lane, first_at, key) WHERE state = 'ready';
CREATE INDEX work_later ON work (not_before) WHERE state = 'later';
CREATE INDEX work_running ON work (lane) WHERE state = 'running';
CREATE INDEX work_dead ON work (updated_at) WHERE state = 'dead';

CREATE TABLE firing (
  name     TEXT COLLATE "C" NOT NULL,
  slot     BIGINT  NOT NULL,
  fired_at BIGINT  NOT NULL,
  PRIMARY KEY (name, slot)
);

CREATE TABLE secret (
  name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  value      BYTEA   NOT NULL,
  changed_at BIGINT  NOT NULL
);

-- +goose Down
DROP TABLE secret;
DROP TABLE firing;
DROP TABLE work;
DROP TABLE delivery;
DROP TABLE event_body;
DROP TABLE event;
