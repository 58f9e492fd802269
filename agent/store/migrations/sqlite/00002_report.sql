-- +goose Up
CREATE INDEX delivery_key ON delivery (work_key, id);
CREATE INDEX delivery_commit ON delivery (project_id, sha, id);
CREATE INDEX delivery_merge_request ON delivery (project_id, merge_request, id);

-- +goose Down
DROP INDEX delivery_merge_request;
DROP INDEX delivery_commit;
DROP INDEX delivery_key;
