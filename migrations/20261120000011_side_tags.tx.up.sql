-- The side tags that builds of a group go to, one for each branch.
CREATE TABLE side_tags (
	id {{.PK}},
	sidetag_group TEXT NOT NULL,
	branch TEXT NOT NULL,
	name TEXT NOT NULL UNIQUE,
	created_at {{.Time}} NOT NULL,
	UNIQUE (sidetag_group, branch)
);
