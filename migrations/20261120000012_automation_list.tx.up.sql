-- What a list of repositories, which people send pull requests to, says of each package.
CREATE TABLE list_entries (
	package TEXT PRIMARY KEY,
	line INTEGER NOT NULL,
	jobs {{.JSON}} NOT NULL,
	problems {{.JSON}},
	project_id BIGINT REFERENCES projects (id),
	updated_at {{.Time}} NOT NULL
);
--bun:split
CREATE INDEX automations_user ON automations (user_id) WHERE user_id IS NOT NULL;
