-- Who wants to hear of what: hooks of projects, and mail for people.
CREATE TABLE subscriptions (
	id {{.PK}},
	channel TEXT NOT NULL,
	interest TEXT NOT NULL,
	project_id BIGINT REFERENCES projects (id),
	user_id BIGINT REFERENCES users (id),
	topics {{.JSON}},
	level TEXT NOT NULL DEFAULT '',
	url TEXT NOT NULL DEFAULT '',
	secret TEXT NOT NULL DEFAULT '',
	secret_before TEXT NOT NULL DEFAULT '',
	rotated_at {{.Time}},
	token TEXT NOT NULL UNIQUE,
	state TEXT NOT NULL,
	reason TEXT NOT NULL DEFAULT '',
	failing_since {{.Time}},
	silences INTEGER NOT NULL DEFAULT 0,
	rests_until {{.Time}},
	created_at {{.Time}} NOT NULL,
	updated_at {{.Time}} NOT NULL
);
--bun:split
CREATE INDEX subscriptions_project ON subscriptions (project_id, id) WHERE project_id IS NOT NULL;
--bun:split
CREATE INDEX subscriptions_user ON subscriptions (user_id, id) WHERE user_id IS NOT NULL;
--bun:split
CREATE UNIQUE INDEX subscriptions_mail ON subscriptions (user_id, interest, COALESCE(project_id, 0)) WHERE channel = 'mail';
--bun:split
-- What happened that somebody wants to hear of, each once.
CREATE TABLE happenings (
	id {{.PK}},
	key TEXT NOT NULL UNIQUE,
	topic TEXT NOT NULL,
	project_id BIGINT NOT NULL REFERENCES projects (id),
	pipeline_id BIGINT REFERENCES pipelines (id),
	step TEXT NOT NULL DEFAULT '',
	run_id BIGINT REFERENCES runs (id),
	product_id BIGINT REFERENCES products (id) ON DELETE CASCADE,
	state TEXT NOT NULL DEFAULT '',
	title TEXT NOT NULL,
	todo TEXT NOT NULL DEFAULT '',
	todo_url TEXT NOT NULL DEFAULT '',
	url TEXT NOT NULL,
	thread TEXT NOT NULL DEFAULT '',
	data {{.JSON}} NOT NULL,
	body {{.Bytes}},
	created_at {{.Time}} NOT NULL
);
--bun:split
CREATE INDEX happenings_created ON happenings (created_at);
--bun:split
CREATE INDEX happenings_product ON happenings (product_id) WHERE product_id IS NOT NULL;
--bun:split
-- A happening on its way to one subscription, or to one person.
CREATE TABLE dispatches (
	id {{.PK}},
	key TEXT NOT NULL UNIQUE,
	channel TEXT NOT NULL,
	happening_id BIGINT NOT NULL REFERENCES happenings (id) ON DELETE CASCADE,
	subscription_id BIGINT REFERENCES subscriptions (id) ON DELETE CASCADE,
	user_id BIGINT REFERENCES users (id),
	state TEXT NOT NULL,
	held BOOLEAN NOT NULL DEFAULT FALSE,
	mail TEXT NOT NULL DEFAULT '',
	tries INTEGER NOT NULL DEFAULT 0,
	not_before {{.Time}},
	hinted_at {{.Time}},
	until {{.Time}} NOT NULL,
	asked_by TEXT NOT NULL DEFAULT '',
	error TEXT NOT NULL DEFAULT '',
	created_at {{.Time}} NOT NULL,
	finished_at {{.Time}}
);
--bun:split
CREATE UNIQUE INDEX dispatches_once ON dispatches (happening_id, subscription_id) WHERE channel = 'webhook';
--bun:split
CREATE UNIQUE INDEX dispatches_once_each ON dispatches (happening_id, user_id) WHERE channel = 'mail';
--bun:split
CREATE INDEX dispatches_subscription ON dispatches (subscription_id, id) WHERE subscription_id IS NOT NULL;
--bun:split
CREATE INDEX dispatches_user ON dispatches (user_id, finished_at) WHERE channel = 'mail';
--bun:split
CREATE INDEX dispatches_waiting ON dispatches (id) WHERE state = 'waiting';
--bun:split
CREATE INDEX dispatches_next ON dispatches (subscription_id, id) WHERE state = 'waiting';
--bun:split
CREATE INDEX dispatches_mail ON dispatches (user_id, id) WHERE state = 'waiting' AND channel = 'mail';
--bun:split
CREATE TABLE dispatch_tries (
	id {{.PK}},
	dispatch_id BIGINT NOT NULL REFERENCES dispatches (id) ON DELETE CASCADE,
	at {{.Time}} NOT NULL,
	asked_by TEXT NOT NULL DEFAULT '',
	milliseconds BIGINT NOT NULL DEFAULT 0,
	status INTEGER NOT NULL DEFAULT 0,
	request TEXT NOT NULL DEFAULT '',
	answer TEXT NOT NULL DEFAULT '',
	error TEXT NOT NULL DEFAULT ''
);
--bun:split
CREATE INDEX dispatch_tries_dispatch ON dispatch_tries (dispatch_id, id);
