-- Who asked for an attempt on our pages, and how; asked again before it runs.
ALTER TABLE pipelines ADD COLUMN requester_id BIGINT REFERENCES users (id);
--bun:split
ALTER TABLE pipelines ADD COLUMN via TEXT NOT NULL DEFAULT '';
--bun:split
CREATE INDEX grants_checked ON grants (checked_at);
