-- What reached us, as it came.
CREATE TABLE deliveries (
	id {{.PK}},
	source TEXT NOT NULL,
	key TEXT NOT NULL,
	type TEXT NOT NULL,
	body {{.Bytes}},
	size BIGINT NOT NULL,
	received_at {{.Time}} NOT NULL,
	handled_at {{.Time}},
	tries INTEGER NOT NULL DEFAULT 0,
	not_before {{.Time}},
	hinted_at {{.Time}},
	error TEXT NOT NULL DEFAULT '',
	UNIQUE (source, key)
);
--bun:split
{{- if .PG}}
-- Bodies are JSON of some 26 kB: LZ4 costs a fraction of what PostgreSQL's own
-- compression does. A server may be built without it.
DO $$ BEGIN
	ALTER TABLE deliveries ALTER COLUMN body SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN NULL;
END $$;
--bun:split
{{- end}}
CREATE INDEX deliveries_received ON deliveries (received_at);
--bun:split
CREATE INDEX deliveries_unhandled ON deliveries (id) WHERE handled_at IS NULL;
--bun:split
CREATE INDEX deliveries_full ON deliveries (received_at) WHERE body IS NOT NULL;
--bun:split
CREATE TABLE projects (
	id {{.PK}},
	forge TEXT NOT NULL,
	namespace TEXT NOT NULL,
	name TEXT NOT NULL,
	url TEXT NOT NULL,
	default_branch TEXT NOT NULL DEFAULT '',
	created_at {{.Time}} NOT NULL,
	active_at {{.Time}} NOT NULL,
	UNIQUE (forge, namespace, name)
);
--bun:split
CREATE INDEX projects_active ON projects (active_at, id);
--bun:split
CREATE TABLE commits (
	id {{.PK}},
	project_id BIGINT NOT NULL REFERENCES projects (id),
	kind TEXT NOT NULL,
	ref TEXT NOT NULL,
	sha TEXT NOT NULL,
	title TEXT NOT NULL DEFAULT '',
	target_ref TEXT NOT NULL DEFAULT '',
	source_url TEXT NOT NULL DEFAULT '',
	author TEXT NOT NULL DEFAULT '',
	created_at {{.Time}} NOT NULL,
	UNIQUE (project_id, kind, ref, sha)
);
--bun:split
CREATE INDEX commits_sha ON commits (sha);
--bun:split
CREATE INDEX commits_ref ON commits (kind, lower(ref), id);
--bun:split
CREATE TABLE events (
	id {{.PK}},
	delivery_id BIGINT UNIQUE REFERENCES deliveries (id),
	project_id BIGINT REFERENCES projects (id),
	commit_id BIGINT REFERENCES commits (id),
	kind TEXT NOT NULL,
	action TEXT NOT NULL DEFAULT '',
	actor TEXT NOT NULL DEFAULT '',
	state TEXT NOT NULL,
	external_id TEXT NOT NULL DEFAULT '',
	reason TEXT NOT NULL DEFAULT '',
	message {{.JSON}},
	decisions {{.JSON}},
	config_file TEXT NOT NULL DEFAULT '',
	config_sha TEXT NOT NULL DEFAULT '',
	config_text TEXT NOT NULL DEFAULT '',
	created_at {{.Time}} NOT NULL,
	decided_at {{.Time}}
);
--bun:split
CREATE INDEX events_project ON events (project_id, id);
--bun:split
CREATE INDEX events_commit ON events (commit_id, id);
--bun:split
CREATE INDEX events_kind ON events (kind, id);
--bun:split
CREATE INDEX events_state ON events (state, id);
--bun:split
CREATE INDEX events_external ON events (kind, external_id) WHERE external_id <> '';
--bun:split
CREATE INDEX events_actor ON events (lower(actor), id);
--bun:split
CREATE INDEX events_created ON events (created_at);
--bun:split
CREATE INDEX events_config ON events (project_id, id) WHERE config_file <> '';
--bun:split
CREATE TABLE pipelines (
	id {{.PK}},
	event_id BIGINT NOT NULL REFERENCES events (id),
	project_id BIGINT NOT NULL REFERENCES projects (id),
	commit_id BIGINT NOT NULL REFERENCES commits (id),
	package TEXT NOT NULL,
	attempt INTEGER NOT NULL DEFAULT 1,
	first_attempt_id BIGINT REFERENCES pipelines (id),
	kind TEXT NOT NULL,
	ref TEXT NOT NULL,
	sha TEXT NOT NULL DEFAULT '',
	title TEXT NOT NULL DEFAULT '',
	actor TEXT NOT NULL DEFAULT '',
	state TEXT NOT NULL,
	version BIGINT NOT NULL DEFAULT 0,
	runs INTEGER NOT NULL DEFAULT 0,
	runs_done INTEGER NOT NULL DEFAULT 0,
	runs_bad INTEGER NOT NULL DEFAULT 0,
	superseded_by BIGINT REFERENCES pipelines (id),
	created_at {{.Time}} NOT NULL,
	started_at {{.Time}},
	finished_at {{.Time}},
	UNIQUE (event_id, package, attempt)
);
--bun:split
CREATE INDEX pipelines_project ON pipelines (project_id, id);
--bun:split
CREATE INDEX pipelines_reference ON pipelines (project_id, kind, ref, id);
--bun:split
CREATE INDEX pipelines_commit ON pipelines (commit_id, id);
--bun:split
CREATE INDEX pipelines_sha ON pipelines (sha);
--bun:split
CREATE INDEX pipelines_state ON pipelines (state, id);
--bun:split
CREATE INDEX pipelines_kind ON pipelines (kind, id);
--bun:split
CREATE INDEX pipelines_package ON pipelines (lower(package), id);
--bun:split
CREATE INDEX pipelines_actor ON pipelines (lower(actor), id);
--bun:split
CREATE INDEX pipelines_created ON pipelines (created_at);
--bun:split
CREATE INDEX pipelines_attempts ON pipelines (first_attempt_id) WHERE first_attempt_id IS NOT NULL;
--bun:split
CREATE INDEX pipelines_ref ON pipelines (kind, lower(ref), id);
--bun:split
CREATE INDEX pipelines_again ON pipelines (id) WHERE attempt > 1;
--bun:split
CREATE INDEX pipelines_bad ON pipelines (finished_at) WHERE state IN ('failed', 'error');
--bun:split
CREATE TABLE steps (
	id {{.PK}},
	pipeline_id BIGINT NOT NULL REFERENCES pipelines (id),
	position INTEGER NOT NULL,
	kind TEXT NOT NULL,
	name TEXT NOT NULL,
	identifier TEXT NOT NULL DEFAULT '',
	job_index INTEGER NOT NULL DEFAULT -1,
	config {{.JSON}},
	mirrors BOOLEAN NOT NULL DEFAULT FALSE,
	notices {{.JSON}},
	state TEXT NOT NULL,
	UNIQUE (pipeline_id, name)
);
--bun:split
CREATE INDEX steps_name ON steps (lower(name), pipeline_id);
--bun:split
CREATE TABLE step_needs (
	step_id BIGINT NOT NULL REFERENCES steps (id),
	needs_id BIGINT NOT NULL REFERENCES steps (id),
	per_target BOOLEAN NOT NULL,
	PRIMARY KEY (step_id, needs_id)
);
--bun:split
CREATE INDEX step_needs_back ON step_needs (needs_id);
--bun:split
-- One submission to a service; what workers claim.
CREATE TABLE run_groups (
	id {{.PK}},
	pipeline_id BIGINT NOT NULL REFERENCES pipelines (id),
	step_id BIGINT NOT NULL REFERENCES steps (id),
	project_id BIGINT NOT NULL REFERENCES projects (id),
	kind TEXT NOT NULL,
	key TEXT NOT NULL UNIQUE,
	phase TEXT NOT NULL,
	epoch BIGINT NOT NULL DEFAULT 0,
	worker TEXT NOT NULL DEFAULT '',
	lease_until {{.Time}},
	rank BIGINT NOT NULL DEFAULT 0,
	tries INTEGER NOT NULL DEFAULT 0,
	not_before {{.Time}},
	hinted_at {{.Time}},
	poll_at {{.Time}},
	polls INTEGER NOT NULL DEFAULT 0,
	external_id TEXT NOT NULL DEFAULT '',
	error TEXT NOT NULL DEFAULT '',
	created_at {{.Time}} NOT NULL,
	updated_at {{.Time}} NOT NULL
);
--bun:split
CREATE INDEX run_groups_pipeline ON run_groups (pipeline_id);
--bun:split
CREATE INDEX run_groups_queued ON run_groups (kind, rank, id) WHERE phase = 'queued';
--bun:split
CREATE INDEX run_groups_working ON run_groups (kind, lease_until) WHERE phase = 'working';
--bun:split
CREATE INDEX run_groups_due ON run_groups (poll_at) WHERE phase IN ('submitted', 'canceling');
--bun:split
CREATE INDEX run_groups_external ON run_groups (kind, external_id) WHERE external_id <> '';
--bun:split
CREATE INDEX run_groups_project ON run_groups (project_id, kind, rank) WHERE phase = 'queued';
--bun:split
CREATE TABLE runs (
	id {{.PK}},
	group_id BIGINT NOT NULL REFERENCES run_groups (id),
	project_id BIGINT NOT NULL REFERENCES projects (id),
	pipeline_id BIGINT NOT NULL REFERENCES pipelines (id),
	kind TEXT NOT NULL,
	target TEXT NOT NULL,
	state TEXT NOT NULL,
	reason TEXT NOT NULL DEFAULT '',
	external_id TEXT NOT NULL DEFAULT '',
	external_url TEXT NOT NULL DEFAULT '',
	log_url TEXT NOT NULL DEFAULT '',
	retries INTEGER NOT NULL DEFAULT 0,
	queued_at {{.Time}},
	started_at {{.Time}},
	finished_at {{.Time}},
	created_at {{.Time}} NOT NULL,
	data {{.JSON}} NOT NULL
);
--bun:split
CREATE INDEX runs_group ON runs (group_id);
--bun:split
CREATE INDEX runs_pipeline ON runs (pipeline_id);
--bun:split
CREATE INDEX runs_kind ON runs (kind, id);
--bun:split
CREATE INDEX runs_state ON runs (state, id);
--bun:split
CREATE INDEX runs_external ON runs (kind, external_id) WHERE external_id <> '';
--bun:split
CREATE INDEX runs_finished ON runs (finished_at) WHERE finished_at IS NOT NULL;
--bun:split
CREATE TABLE targets (
	id {{.PK}},
	step_id BIGINT NOT NULL REFERENCES steps (id),
	position INTEGER NOT NULL,
	name TEXT NOT NULL,
	follows TEXT NOT NULL DEFAULT '',
	check_name TEXT NOT NULL DEFAULT '',
	run_id BIGINT NOT NULL REFERENCES runs (id),
	reused BOOLEAN NOT NULL DEFAULT FALSE,
	UNIQUE (step_id, name)
);
--bun:split
CREATE INDEX targets_run ON targets (run_id);
--bun:split
CREATE INDEX targets_name ON targets (lower(name), step_id);
--bun:split
-- Kinds of steps that operators have paused.
CREATE TABLE paused_kinds (
	kind TEXT PRIMARY KEY,
	actor TEXT NOT NULL,
	since {{.Time}} NOT NULL
);
--bun:split
-- Leases on things that only one may use at a time: a repository to push to.
CREATE TABLE leases (
	key TEXT PRIMARY KEY,
	holder TEXT NOT NULL,
	until {{.Time}} NOT NULL
);
--bun:split
CREATE TABLE logs (
	run_id BIGINT PRIMARY KEY REFERENCES runs (id),
	source_url TEXT NOT NULL DEFAULT '',
	lines BIGINT NOT NULL DEFAULT 0,
	bytes BIGINT NOT NULL DEFAULT 0,
	cut_bytes BIGINT NOT NULL DEFAULT 0,
	complete BOOLEAN NOT NULL DEFAULT FALSE,
	updated_at {{.Time}} NOT NULL
);
--bun:split
CREATE TABLE log_chunks (
	run_id BIGINT NOT NULL REFERENCES logs (run_id) ON DELETE CASCADE,
	first_line BIGINT NOT NULL,
	lines INTEGER NOT NULL,
	content {{.Bytes}} NOT NULL,
	PRIMARY KEY (run_id, first_line)
);
--bun:split
CREATE INDEX logs_updated ON logs (updated_at);
--bun:split
CREATE TABLE reports (
	id {{.PK}},
	project_id BIGINT NOT NULL REFERENCES projects (id),
	commit_id BIGINT NOT NULL REFERENCES commits (id),
	sha TEXT NOT NULL,
	name TEXT NOT NULL,
	pipeline_id BIGINT REFERENCES pipelines (id),
	run_id BIGINT REFERENCES runs (id),
	event_id BIGINT REFERENCES events (id),
	wanted TEXT NOT NULL,
	title TEXT NOT NULL,
	body TEXT NOT NULL DEFAULT '',
	url TEXT NOT NULL DEFAULT '',
	revision BIGINT NOT NULL DEFAULT 1,
	sent_rev BIGINT NOT NULL DEFAULT 0,
	sent_state TEXT NOT NULL DEFAULT '',
	external_id TEXT NOT NULL DEFAULT '',
	as_status BOOLEAN NOT NULL DEFAULT FALSE,
	tries INTEGER NOT NULL DEFAULT 0,
	not_before {{.Time}},
	hinted_at {{.Time}},
	error TEXT NOT NULL DEFAULT '',
	updated_at {{.Time}} NOT NULL,
	sent_at {{.Time}},
	UNIQUE (commit_id, name)
);
--bun:split
CREATE INDEX reports_unsent ON reports (id) WHERE sent_rev < revision;
--bun:split
CREATE INDEX reports_pipeline ON reports (pipeline_id);
--bun:split
CREATE INDEX reports_event ON reports (event_id);
--bun:split
-- Live updates: what changed, for browsers that were away for a moment.
CREATE TABLE outbox (
	id {{.PK}},
	topic TEXT NOT NULL,
	object BIGINT NOT NULL DEFAULT 0,
	project_id BIGINT NOT NULL DEFAULT 0,
	version BIGINT NOT NULL DEFAULT 0,
	created_at {{.Time}} NOT NULL
);
--bun:split
CREATE INDEX outbox_created ON outbox (created_at);
--bun:split
-- Namespaces and projects that may use the service.
CREATE TABLE allowlist (
	id {{.PK}},
	forge TEXT NOT NULL,
	namespace TEXT NOT NULL,
	name TEXT NOT NULL DEFAULT '',
	state TEXT NOT NULL,
	reason TEXT NOT NULL DEFAULT '',
	actor TEXT NOT NULL DEFAULT '',
	created_at {{.Time}} NOT NULL,
	updated_at {{.Time}} NOT NULL,
	UNIQUE (forge, namespace, name)
);
--bun:split
CREATE TABLE users (
	id {{.PK}},
	login TEXT NOT NULL UNIQUE,
	name TEXT NOT NULL DEFAULT '',
	email TEXT NOT NULL DEFAULT '',
	groups {{.JSON}},
	settings {{.JSON}},
	created_at {{.Time}} NOT NULL,
	seen_at {{.Time}}
);
--bun:split
-- Accounts of a user on other services: the GitHub login that FAS links to.
CREATE TABLE identities (
	user_id BIGINT NOT NULL REFERENCES users (id),
	service TEXT NOT NULL,
	login TEXT NOT NULL,
	checked_at {{.Time}} NOT NULL,
	PRIMARY KEY (user_id, service)
);
--bun:split
CREATE INDEX identities_login ON identities (service, login);
--bun:split
CREATE TABLE sessions (
	token TEXT PRIMARY KEY,
	user_id BIGINT REFERENCES users (id),
	data {{.Bytes}} NOT NULL,
	expiry {{.Time}} NOT NULL
);
--bun:split
CREATE INDEX sessions_expiry ON sessions (expiry);
--bun:split
CREATE TABLE tokens (
	id {{.PK}},
	user_id BIGINT NOT NULL REFERENCES users (id),
	name TEXT NOT NULL,
	hash TEXT NOT NULL UNIQUE,
	scopes TEXT NOT NULL,
	created_at {{.Time}} NOT NULL,
	expires_at {{.Time}},
	used_at {{.Time}}
);
--bun:split
CREATE INDEX tokens_user ON tokens (user_id);
--bun:split
-- Rights that a source (dist-git, a forge, FAS) said a user has, for minutes.
CREATE TABLE grants (
	user_id BIGINT NOT NULL REFERENCES users (id),
	object TEXT NOT NULL,
	source TEXT NOT NULL,
	role TEXT NOT NULL,
	checked_at {{.Time}} NOT NULL,
	PRIMARY KEY (user_id, object, source)
);
--bun:split
-- Jobs that people switched on in the browser; every save is a new version.
CREATE TABLE automations (
	id {{.PK}},
	project_id BIGINT NOT NULL REFERENCES projects (id),
	package TEXT NOT NULL,
	job TEXT NOT NULL,
	version INTEGER NOT NULL,
	enabled BOOLEAN NOT NULL,
	settings {{.JSON}} NOT NULL,
	source TEXT NOT NULL,
	user_id BIGINT REFERENCES users (id),
	created_at {{.Time}} NOT NULL,
	UNIQUE (package, job, version)
);
--bun:split
CREATE TABLE audit (
	id {{.PK}},
	at {{.Time}} NOT NULL,
	actor TEXT NOT NULL,
	user_id BIGINT REFERENCES users (id),
	via TEXT NOT NULL,
	action TEXT NOT NULL,
	object TEXT NOT NULL,
	project_id BIGINT REFERENCES projects (id),
	detail {{.JSON}},
	result TEXT NOT NULL
);
--bun:split
CREATE INDEX audit_project ON audit (project_id, id);
--bun:split
CREATE INDEX audit_actor ON audit (actor, id);
--bun:split
-- What services told us, kept for a while: releases, problems of packages.
CREATE TABLE cached_items (
	source TEXT NOT NULL,
	key TEXT NOT NULL,
	data {{.JSON}} NOT NULL,
	fetched_at {{.Time}} NOT NULL,
	error TEXT NOT NULL DEFAULT '',
	PRIMARY KEY (source, key)
);
--bun:split
-- Worker processes that are alive, and what they serve.
CREATE TABLE workers (
	name TEXT PRIMARY KEY,
	host TEXT NOT NULL,
	started_at {{.Time}} NOT NULL,
	seen_at {{.Time}} NOT NULL,
	draining BOOLEAN NOT NULL DEFAULT FALSE
);
