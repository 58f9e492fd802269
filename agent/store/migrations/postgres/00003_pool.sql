-- +goose Up
ALTER TABLE work ADD COLUMN pool TEXT COLLATE "C" NOT NULL DEFAULT '';
DROP INDEX work_ready;
CREATE INDEX work_ready ON work (pool, lane, first_at, key) WHERE state = 'ready';

-- +goose Down
DROP INDEX work_ready;
ALTER TABLE work DROP COLUMN pool;
CREATE INDEX work_ready ON work (lane, first_at, key) WHERE state = 'ready';
