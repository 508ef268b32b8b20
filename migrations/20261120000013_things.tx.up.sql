-- Issues are about things that fail at one commit, and may work at the next.
ALTER TABLE reports ADD COLUMN thing TEXT;
--bun:split
CREATE UNIQUE INDEX reports_thing ON reports (thing) WHERE thing IS NOT NULL;
--bun:split
CREATE INDEX reports_issue ON reports (project_id, external_id) WHERE thing IS NOT NULL;
