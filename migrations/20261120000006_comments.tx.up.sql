-- Builds of other pull requests that tests install too.
ALTER TABLE steps ADD COLUMN others {{.JSON}};
--bun:split
-- Events that an entry of the allowlist would let go on.
ALTER TABLE events ADD COLUMN held BOOLEAN NOT NULL DEFAULT FALSE;
--bun:split
CREATE INDEX events_held ON events (project_id, id) WHERE held;
--bun:split
-- Who asked for an entry of the allowlist, and where they can prove who they are.
ALTER TABLE allowlist ADD COLUMN requester TEXT NOT NULL DEFAULT '';
--bun:split
ALTER TABLE allowlist ADD COLUMN account TEXT NOT NULL DEFAULT '';
--bun:split
ALTER TABLE allowlist ADD COLUMN issue BIGINT NOT NULL DEFAULT 0;
--bun:split
ALTER TABLE allowlist ADD COLUMN issue_url TEXT NOT NULL DEFAULT '';
--bun:split
CREATE INDEX allowlist_waiting ON allowlist (id) WHERE state = 'waiting';
--bun:split
CREATE INDEX allowlist_issue ON allowlist (forge, issue) WHERE issue <> 0;
