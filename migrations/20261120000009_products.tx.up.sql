-- What a release leaves outside on its way to Fedora, and what followed from what.
CREATE TABLE products (
	id {{.PK}},
	kind TEXT NOT NULL,
	key TEXT NOT NULL,
	project_id BIGINT NOT NULL REFERENCES projects (id),
	package TEXT NOT NULL,
	branch TEXT NOT NULL DEFAULT '',
	name TEXT NOT NULL,
	version TEXT NOT NULL DEFAULT '',
	state TEXT NOT NULL,
	url TEXT NOT NULL DEFAULT '',
	run_id BIGINT REFERENCES runs (id) ON DELETE SET NULL,
	event_id BIGINT REFERENCES events (id) ON DELETE SET NULL,
	data {{.JSON}} NOT NULL,
	poll_at {{.Time}},
	polls INTEGER NOT NULL DEFAULT 0,
	created_at {{.Time}} NOT NULL,
	updated_at {{.Time}} NOT NULL,
	finished_at {{.Time}},
	UNIQUE (kind, key)
);
--bun:split
CREATE INDEX products_package ON products (package, kind, id);
--bun:split
CREATE INDEX products_project ON products (project_id, kind, id);
--bun:split
CREATE INDEX products_run ON products (run_id) WHERE run_id IS NOT NULL;
--bun:split
CREATE INDEX products_event ON products (event_id) WHERE event_id IS NOT NULL;
--bun:split
CREATE INDEX products_due ON products (poll_at) WHERE poll_at IS NOT NULL;
--bun:split
CREATE TABLE product_links (
	product_id BIGINT NOT NULL REFERENCES products (id) ON DELETE CASCADE,
	from_id BIGINT NOT NULL REFERENCES products (id) ON DELETE CASCADE,
	PRIMARY KEY (product_id, from_id)
);
--bun:split
CREATE INDEX product_links_from ON product_links (from_id);
