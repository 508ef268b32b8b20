-- A package is known by its project: one name in two namespaces is two packages.
CREATE UNIQUE INDEX automations_version ON automations (project_id, job, version);
--bun:split
CREATE INDEX automations_project ON automations (project_id, id);
--bun:split
CREATE INDEX automations_source ON automations (source, project_id);
