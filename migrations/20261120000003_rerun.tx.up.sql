-- What made an attempt, so that asking again does not make another.
ALTER TABLE pipelines ADD COLUMN request_key TEXT;
--bun:split
CREATE UNIQUE INDEX pipelines_request ON pipelines (request_key) WHERE request_key IS NOT NULL;
--bun:split
CREATE INDEX events_undecided ON events (project_id, kind, id) WHERE state = 'new';
